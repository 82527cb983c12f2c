import type { Connection, Session, SessionList, Singleton, Status } from "#contract/manager-api.ts";

/** What a manager tells of a fleet in which all is well. */
export interface Told {
  status: Status;
  connection: Connection;
  list: SessionList;
}

export const SESSION: Session = {
  session_id: "ses_1",
  name: "mw",
  namespace: "lab",
  state: "open",
  container_id: 0,
  type: "python",
  detached: true,
  idle_timeout: 60,
  env: [],
  created_at: "2026-01-01T00:00:00Z",
  last_used_at: "2026-01-01T00:00:00Z",
  expires_at: "2026-01-01T00:30:00Z",
  ends_at: "2026-01-01T00:01:00Z",
  running: 1,
  queued: 2,
};

export const SINGLETON: Singleton = { name: "mw", namespace: "lab", state: "open", session_id: "ses_1" };

export function allWell(): Told {
  return {
    status: {
      available_containers: 1,
      available_by_type: { python: 1 },
      allocated_containers: 1,
      total_containers: 2,
      allocated_container_ids: [0],
      starting_containers: 0,
      resetting_containers: 0,
      unhealthy_containers: 0,
      waiting_allocations: 0,
      backend: "docker",
      warnings: [],
      executors: [
        {
          container_id: 0,
          type: "python",
          state: "allocated",
          session_id: "ses_1",
          reset: "container",
          warnings: [],
        },
        { container_id: 1, type: "python", state: "free", reset: "container", warnings: [] },
      ],
    },
    connection: {
      status: "connected",
      address: "/d.sock",
      engine_version: "28.0.0",
      resources: { cpus: 2, memory: 4096 },
      backend: "docker",
      namespace: "default",
    },
    list: { sessions: [SESSION], singletons: [SINGLETON] },
  };
}
