import type { FleetError } from "#client/fleet-error.ts";
import type { Session, Status } from "#contract/manager-api.ts";
import type { Causes } from "./causes.ts";
import { ENV_NAME } from "./cells.ts";
import { hold } from "./journal.ts";
import type { RememberedSession } from "./remembered-session.ts";

/** @throws {Violation} unless every executor is counted once */
export function holdSum(status: Status): void {
  const { available_containers, allocated_containers, starting_containers } = status;
  const { resetting_containers, unhealthy_containers, total_containers } = status;
  const sum =
    available_containers +
    allocated_containers +
    starting_containers +
    resetting_containers +
    unhealthy_containers;
  hold(sum === total_containers, `the counts do not add up: ${JSON.stringify(status)}`);
}

/** @throws {Violation} unless a session is shown as what was agreed on */
export function holdDescription(session: RememberedSession, shown: Session, causes: Causes): void {
  const said = `${session.label} is shown as ${JSON.stringify(shown)} after ${causes.text}`;
  const { name, detached, hasEnv } = session.terms;
  hold(shown.session_id === session.id && shown.container_id === session.executor, said);
  hold(shown.name === name && shown.detached === detached, said);
  hold(shown.env.join() === (hasEnv ? ENV_NAME : ""), said);
  hold(shown.state === "open" || causes.isDisturbed(session.executor), said);
}

/** @throws {Violation} unless a client was refused a session because it had to wait for too long */
export function holdRefusedOpening({ code, message }: FleetError, causes: Causes): void {
  const isTrue = code === "no_executor_free" || (code === "executor_unavailable" && causes.any);
  hold(isTrue, `a session was refused: ${code} ${message} after ${causes.text}`);
}
