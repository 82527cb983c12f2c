import type { Backend } from "./fleet/backend.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { SessionResolver } from "./sessions/session-resolver.ts";
import type { Sessions } from "./sessions/sessions.ts";
import type { Singletons } from "./sessions/singletons.ts";

/** The parts of a running manager, as its routes need them. */
export interface Manager {
  readonly backend: Backend;
  readonly fleet: Fleet;
  readonly sessions: Sessions;
  readonly resolver: SessionResolver;
  readonly singletons: Singletons;
  /** Aborted when the manager stops. */
  readonly stopping: AbortSignal;
  /** Aborted some time later, when what still runs is not waited for any longer. */
  readonly ending: AbortSignal;
}
