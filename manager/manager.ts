import type { Backend } from "./fleet/backend.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { Sessions } from "./sessions/sessions.ts";

/** The parts of a running manager, as its routes need them. */
export interface Manager {
  readonly backend: Backend;
  readonly fleet: Fleet;
  readonly sessions: Sessions;
}
