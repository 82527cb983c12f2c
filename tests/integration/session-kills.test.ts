import * as fc from "fast-check";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allocationSchema, sessionSchema } from "#contract/manager-api.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { ManagerPlace } from "#tests/support/manager-process.ts";
import type { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

const ROUNDS = 6;
const CLIENTS = 4;

/** What clients do until the manager is killed, and when that is. */
const round = fc.record({
  steps: fc.array(fc.constantFrom("allocate", "ensure", "run", "run", "renew", "end"), {
    minLength: 60,
    maxLength: 60,
  }),
  killAfterMs: fc.integer({ min: 100, max: 300 }),
});

/** A session as a client remembers it; what was asked for, and not answered, may have happened or not. */
interface Remembered {
  /** The client that uses it, one call after the other. */
  client: number;
  executor: number;
  values: (number | undefined)[];
  mayHaveEnded: boolean;
  hasEnded: boolean;
}

let executors: ExecutorProcess[];
let place: ManagerPlace;
let known: Map<string, Remembered>;
let api: SessionApi;
let count = 0;

beforeAll(async () => {
  executors = await Promise.all([ExecutorProcess.start(), ExecutorProcess.start()]);
  place = await ManagerPlace.make(executors.map(({ dir }) => `unix:${join(dir, "socket")}`));
  known = new Map();
});
afterAll(async () => {
  await place[Symbol.asyncDispose]();
  await Promise.all(executors.map((one) => one[Symbol.asyncDispose]()));
});

function remember(id: string, session: Pick<Remembered, "executor" | "client">): void {
  // An ended id that comes back would be remembered as ended.
  if (!known.has(id))
    known.set(id, { ...session, values: [undefined], mayHaveEnded: false, hasEnded: false });
}

/** One call of a client; rejects when the manager dies under it. */
async function take(step: string, client: number): Promise<void> {
  count += 1;
  const mine = [...known].find(([, one]) => one.client === client && !one.mayHaveEnded);
  if (step === "allocate" || step === "ensure") {
    const path = step === "allocate" ? "/allocate?wait=0.01" : `/session/mw${count % 2}`;
    const json = step === "allocate" ? undefined : { wait: 0.01, detached: count % 3 === 0 };
    const reply = await api.call(step === "allocate" ? "POST" : "PUT", path, { json });
    const body: unknown = await reply.json();
    if (!reply.ok) return;
    const told = step === "allocate" ? allocationSchema.parse(body) : sessionSchema.parse(body);
    return remember(told.session_id, { executor: told.container_id, client });
  }
  if (!mine) return;
  const [id, session] = mine;
  if (step === "renew") return void (await api.call("POST", `/session/${id}/renew`));
  if (step === "run") {
    const value = count;
    session.values.push(value);
    if ((await api.run(id, `x = ${value}`)).includes('"outcome":"ok"')) session.values = [value];
    return;
  }
  session.mayHaveEnded = true;
  session.hasEnded = (await api.call("DELETE", `/session/${id}`)).ok;
}

/** What the manager tells of a session that is not what its client was told. */
async function problemOf(id: string, session: Remembered): Promise<string | undefined> {
  const reply = await api.call("GET", `/session/${id}`);
  if (session.hasEnded || (session.mayHaveEnded && reply.status === 410)) {
    session.hasEnded = true;
    const told = await api.refusal(Promise.resolve(reply));
    return /^410 .*: ended by a client$/.test(told) ? undefined : `its end is told as ${told}`;
  }
  if (!reply.ok) return `it is gone: ${await api.refusal(Promise.resolve(reply))}`;
  const { container_id } = sessionSchema.parse(await reply.json());
  if (container_id !== session.executor) return `it went from ${session.executor} to ${container_id}`;
  await until("it is open", async () => (await api.show(id)).state === "open" || undefined);
  const ran = await api.run(id, "print(globals().get('x'))");
  const value = /"text":"(\w+)\\n"/.exec(ran)?.[1];
  session.mayHaveEnded = false;
  const possible = session.values.map((one) => String(one ?? "None"));
  return possible.includes(value ?? "") ? undefined : `its variable is ${ran}, not ${possible.join(" or ")}`;
}

/** Holds what the manager tells against what its clients were told. */
async function check(): Promise<void> {
  const problems: string[] = [];
  for (const [id, session] of known) {
    const problem = await problemOf(id, session);
    if (problem !== undefined) problems.push(`${id}: ${problem}`);
  }
  expect(problems).toEqual([]);
  const { sessions } = await api.list();
  expect(new Set(sessions.map(({ container_id }) => container_id)).size).toBe(sessions.length);
  // What was opened and not acknowledged is nobody's.
  for (const { session_id } of sessions)
    if (!known.has(session_id)) await api.call("DELETE", `/session/${session_id}`);
}

test("whenever a manager is killed, the next one knows what clients were told, and nothing is given twice", async () => {
  const rounds = fc.sample(round, { numRuns: ROUNDS });
  for (const { steps, killAfterMs } of rounds) {
    const current = await place.start();
    api = current.api;
    await check();
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (const step of steps.filter((_step, index) => index % CLIENTS === client)) await take(step, client);
    });
    // Those whose call is under way when it is killed are told nothing.
    const over = Promise.allSettled(clients);
    await delay(killAfterMs);
    await current.manager.end("SIGKILL");
    await over;
  }
  const last = await place.start();
  api = last.api;
  await check();
  for (const { session_id } of (await api.list()).sessions)
    await api.call("DELETE", `/session/${session_id}`);
  expect((await api.untilFree(2)).executors).toHaveLength(2);
  expect(known.size).toBeGreaterThan(0);
});
