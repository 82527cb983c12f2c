import { FleetError } from "#client/fleet-error.ts";
import { Causes } from "./causes.ts";
import type { ChaosFleet, ManagerRun } from "./chaos-fleet.ts";
import { codeOf, readReport, type Cell } from "./cells.ts";
import { hold, type Journal } from "./journal.ts";
import type { Circumstances, RememberedSession } from "./remembered-session.ts";
import { runCell, type Run } from "./run-cell.ts";

/** How long anything may take to be answered. */
const ANSWER_DEADLINE_MS = 60_000;

/** What became of a call. */
export type Answer<T> =
  { kind: "value"; value: T } | { kind: "refused"; error: FleetError } | { kind: "broken" };

/** A call of the manager's API. */
export type Call<T> = (manager: ManagerRun, signal: AbortSignal) => Promise<T>;

export interface CellOptions extends Circumstances {
  as?: "json" | "stream";
  /** Told when the first output comes. */
  onOutput?: () => void;
  hangUp?: AbortSignal;
}

/** What all clients and the villain share, and through which clients speak: every answer is held against memory. */
export class ChaosWorld {
  readonly fleet: ChaosFleet;
  readonly journal: Journal;
  causes = new Causes();
  /** Every session that a client was told of, by its id. */
  readonly sessions = new Map<string, RememberedSession>();
  /** Openings of which no client was told what became: each may have opened a session. */
  untold = 0;
  #tokens = 0;

  constructor(fleet: ChaosFleet, journal: Journal) {
    this.fleet = fleet;
    this.journal = journal;
  }

  /** A text that was not given out before. */
  token(of: string): string {
    this.#tokens += 1;
    return `${of}${this.#tokens}`;
  }

  /**
   * Makes a call to the manager that serves.
   *
   * @throws {Violation} when there is no answer, or the connection breaks without the manager having been killed
   */
  async call<T>(what: string, call: Call<T>, hangUp?: AbortSignal): Promise<Answer<T>> {
    const manager = await this.fleet.manager();
    const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const answer = await call(manager, hangUp ? AbortSignal.any([hangUp, deadline]) : deadline).then(
      (value): Answer<T> => ({ kind: "value", value }),
      (error: unknown): Answer<T> => {
        hold(!deadline.aborted, `${what} got no answer in ${ANSWER_DEADLINE_MS} ms`);
        if (hangUp?.aborted) return { kind: "broken" };
        if (!(error instanceof FleetError)) throw error;
        if (error.status !== undefined) return { kind: "refused", error };
        hold(manager.killed, `${what} was told ${error.message}, and nobody killed the manager`);
        return { kind: "broken" };
      },
    );
    const told = answer.kind === "refused" ? `${answer.error.status} ${answer.error.code}` : answer.kind;
    this.#note(what, told, answer.kind === "refused" ? answer.error.message : "");
    return answer;
  }

  /** Makes a call on a session. What it answers is told to the session's memory; one that broke as well. */
  async callSession<T>(session: RememberedSession, what: string, call: Call<T>): Promise<Answer<T>> {
    const { isOver } = session;
    const answer = await this.call(`${what} ${session.label}`, call);
    if (answer.kind === "broken") session.wasLeftInTheDark();
    if (answer.kind === "refused") this.#refused(session, what, answer.error);
    if (answer.kind === "value" && isOver) session.tellsLife();
    return answer;
  }

  /** Runs a cell in a session. Whatever it is told is held against the session's memory. */
  async run(session: RememberedSession, cell: Omit<Cell, "secret">, options: CellOptions = {}): Promise<Run> {
    const manager = await this.fleet.manager();
    const { secret } = session.terms;
    const { as = "stream", onOutput, hangUp } = options;
    const { isOver } = session;
    session.sends(cell.token, cell.value);
    const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const signal = hangUp ? AbortSignal.any([hangUp, deadline]) : deadline;
    const what = `execute ${cell.token} in ${session.label}`;
    const run = await runCell({
      url: manager.url,
      session: session.id,
      code: codeOf({ ...cell, secret }),
      as,
      signal,
      ...(onOutput ? { onOutput } : {}),
    }).catch((error: unknown): Run => {
      hold(!deadline.aborted, `${what} got no answer in ${ANSWER_DEADLINE_MS} ms`);
      if (hangUp?.aborted) return { kind: "broken", reason: "its client hung up" };
      throw error;
    });
    switch (run.kind) {
      case "broken":
        hold(
          manager.killed || (hangUp?.aborted ?? false),
          `${what} was told ${run.reason}, and nobody killed the manager`,
        );
        session.wasLeftInTheDark();
        this.#note(what, "broken", run.reason);
        break;
      case "refused":
        this.#note(what, `${run.error.status} ${run.error.code}`, run.error.message);
        this.#refused(session, what, run.error);
        break;
      case "ended": {
        this.#note(what, run.outcome, `${run.restarted ? "(fresh kernel) " : ""}${run.text}${run.errors}`);
        this.journal.count("outcomes", run.outcome);
        if (isOver) session.tellsLife();
        session.tellsOutcome(run.outcome, options, this.causes);
        if (run.outcome === "ok") session.tellsState(readReport(run.text), { ...cell, ...run }, this.causes);
        break;
      }
    }
    return run;
  }

  #refused(session: RememberedSession, what: string, error: FleetError): void {
    const { status, code, message } = error;
    const said = `${what} (${session.label}) was answered ${status} ${code} (${message}) after ${this.causes.text}`;
    if (code === "session_ended") return session.tellsEnd(message, this.causes);
    // Who gets that looks whether the session has ended.
    if (code === "not_allocated") return;
    hold(code === "executor_unavailable" && this.causes.isDisturbed(session.executor), said);
  }

  #note(what: string, told: string, more: string): void {
    this.journal.count("answers", told);
    this.journal.note(`${what}: ${told}${more === "" ? "" : ` | ${more.replaceAll("\n", " ").trim()}`}`);
  }
}
