import type { RequestIdVariables } from "hono/request-id";

/** Types of the manager's Hono context. */
export interface AppEnv {
  Variables: RequestIdVariables;
}
