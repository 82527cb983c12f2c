import type { SessionState as StateName } from "#contract/manager-api.ts";

/**
 * What a session is. `opening`: its executor is claimed and being prepared; nobody was told of it yet. `unreachable`:
 * its executor does not answer just now, so that it is not known whether its state is still there.
 */
export type SessionState =
  | { name: "opening" }
  | { name: "open" }
  | { name: "unreachable"; reason: string }
  | { name: "ended"; reason: string };

/** Which state may follow which. An ended session stays ended, so that its id is dead for ever. */
export const SESSION_TRANSITIONS = {
  opening: ["open", "unreachable", "ended"],
  open: ["unreachable", "ended"],
  unreachable: ["unreachable", "open", "ended"],
  ended: [],
} as const satisfies Record<StateName, readonly StateName[]>;

/** @throws {Error} when the table does not allow the step: a bug of the manager. */
export function assertTransition(from: StateName, to: StateName): void {
  const allowed: readonly StateName[] = SESSION_TRANSITIONS[from];
  if (!allowed.includes(to)) throw new Error(`a session cannot go from ${from} to ${to}`);
}
