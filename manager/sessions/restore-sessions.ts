import type { Fleet } from "#manager/fleet/fleet.ts";
import type { SessionRow, SessionStore } from "./session-store.ts";
import type { SessionTable } from "./session-table.ts";
import type { SessionTerms } from "./session-terms.ts";

const REASON = "the manager was started again and has not seen the executor yet";

/**
 * Takes up the sessions that an earlier manager left. Whether their executors still have their state shows when those
 * answer; until then the sessions are `unreachable`.
 */
export function restoreSessions(
  { fleet, store, table }: { fleet: Fleet; store: SessionStore; table: SessionTable },
  { maxQueued, now }: { maxQueued: number; now: number },
): void {
  for (const { executor, bootId } of store.leases()) {
    const found = fleet.executors.find(({ number }) => number === executor);
    if (found) found.usedBootId = bootId;
  }
  for (const row of store.live()) {
    const executor = fleet.executors.find(({ number }) => number === row.executor);
    if (executor?.type !== row.type) {
      store.end(row.id, `the fleet has no ${row.type} executor ${row.executor} any more`, now);
      continue;
    }
    const session = table.add({
      id: row.id,
      executorNumber: executor.number,
      type: row.type,
      terms: termsOfRow(row),
      maxQueued,
      createdAt: row.created_at,
      endsAt: row.ends_at,
    });
    executor.bootId = row.boot_id ?? undefined;
    table.change(session, { name: "unreachable", reason: REASON });
    fleet.changeState(executor, { name: "starting", reason: REASON, sessionId: session.id });
  }
}

function termsOfRow(row: SessionRow): SessionTerms {
  const { name, namespace } = row;
  return {
    name: name === null || namespace === null ? undefined : { name, namespace },
    detached: row.detached === 1,
    idleTimeoutMs: row.idle_timeout_ms,
    lifetimeMs: row.lifetime_ms,
    env: { names: row.env_names, hash: row.env_hash },
  };
}
