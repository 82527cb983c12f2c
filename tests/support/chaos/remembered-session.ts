import type { Outcome } from "#contract/execution.ts";
import type { Causes } from "./causes.ts";
import { ENV_NAME, type Report } from "./cells.ts";
import { hold } from "./journal.ts";

/** What was agreed on with the manager. */
export interface RememberedTerms {
  name: string | undefined;
  /** No other session's. */
  secret: string;
  detached: boolean;
  hasEnv: boolean;
}

/** What its client did while an execution ran: what that may be told as. */
export interface Circumstances {
  interrupted?: boolean;
  suicide?: boolean;
}

/** How a manager tells the ends of containers and servers that others bring about. */
const TRUE_END =
  /^executor lost: (its container (ended|was removed)|(the executor|it) was started anew|its connection broke|no answer)/;

/** A session as its client was told of it, to be held against everything that is told later. */
export class RememberedSession {
  readonly id: string;
  readonly executor: number;
  readonly terms: RememberedTerms;
  /** The container's process in which it lives. */
  life: string | undefined;
  /** Why it ended, as the manager said at first. */
  endReason: string | undefined;
  /** Whether its client was told that its own wish to end it was granted. */
  endGranted = false;
  /** Whether its end was held against what had happened. */
  wasHeld = false;
  /** As what its client asked to end it. */
  readonly #endsAsked = new Set<string>();
  #kernel: string | undefined;
  /** The steps that its client knows to have happened in the present kernel, in order. */
  #done: string[] = [];
  /** Those of which it was told nothing: each may have happened, once. */
  readonly #pending = new Set<string>();
  /** Those that had not happened at a quiet moment. */
  readonly #never = new Set<string>();
  readonly #values = new Map<string, string>();
  /** Whether its client did something that takes the state away, or may have. */
  #mayBeFresh = false;
  #mustBeFresh = false;
  /** Whether its client could know by now that the state is gone. */
  #told = false;

  constructor(id: string, executor: number, terms: RememberedTerms) {
    this.id = id;
    this.executor = executor;
    this.terms = terms;
  }

  get isOver(): boolean {
    return this.endReason !== undefined || this.endGranted;
  }

  get label(): string {
    return `${this.id} (executor ${this.executor}${this.terms.name === undefined ? "" : `, ${this.terms.name}`})`;
  }

  /** A cell is about to be sent. */
  sends(token: string, value: string | undefined): void {
    this.#pending.add(token);
    if (value !== undefined) this.#values.set(token, value);
  }

  /** Its client asks for its end, which will be told as that. */
  asksForEnd(reason: string): void {
    this.#endsAsked.add(reason);
  }

  /** Its client asks for another kernel. */
  asksForRestart(): void {
    this.#mayBeFresh = true;
  }

  restartGranted(): void {
    this.#mustBeFresh = true;
    this.#told = true;
  }

  /** Its client was told nothing of what it asked for. */
  wasLeftInTheDark(): void {
    this.#told = true;
  }

  /** An execution ended like that. */
  tellsOutcome(outcome: Outcome, circumstances: Circumstances, causes: Causes): void {
    const because = `${this.label}: an execution ended as ${outcome} after ${causes.text}`;
    switch (outcome) {
      case "ok":
        hold(!circumstances.suicide, `${because}, although its kernel was killed`);
        return;
      case "interrupted":
        hold(circumstances.interrupted ?? false, `${because}, and nobody interrupted it`);
        return;
      case "kernel_died":
        hold(
          circumstances.suicide || causes.has(this.executor, "kernel killed"),
          `${because}, and nobody killed its kernel`,
        );
        this.#mayBeFresh = true;
        this.#mustBeFresh = true;
        this.#told = true;
        return;
      case "restarted":
        hold(
          this.#mayBeFresh || this.#endsAsked.size > 0,
          `${because}, and nobody restarted it or ended the session`,
        );
        this.#told = true;
        return;
      case "executor_lost":
        hold(causes.isDeadly(this.executor), `${because}, and nobody ended its executor`);
        return;
      case "error":
      case "timed_out":
      case "output_limit":
      case "oom_killed":
        hold(false, because);
    }
  }

  /** A cell ran to its end and printed the state. */
  tellsState(
    report: Report,
    { token, restarted }: { token: string; restarted: boolean },
    causes: Causes,
  ): void {
    const said = `${this.label}: ${JSON.stringify(report)}`;
    const { secret, hasEnv } = this.terms;
    hold(report.secret === secret, `${said} is another one's state: its own secret is ${secret}`);
    hold(
      report.files.every((of) => of === secret),
      `${said} has another one's files`,
    );
    hold(report.env === (hasEnv ? secret : null), `${said} has another ${ENV_NAME}`);
    this.life ??= report.life;
    hold(report.life === this.life, `${said} is open in another process than ${this.life}`);
    if (report.kernel === this.#kernel) {
      hold(!restarted, `${said}: its client was told that the state is lost, and it is not`);
      this.#staysInKernel(report, said);
    }
    if (this.#kernel !== undefined && report.kernel !== this.#kernel)
      this.#hasFreshKernel(restarted, said, causes);
    this.#holdSteps(report, token, said);
    this.#kernel = report.kernel;
    this.#done = report.tokens;
    for (const done of report.tokens) this.#pending.delete(done);
    this.#mustBeFresh = false;
    this.#told = false;
  }

  /** It was answered with 410. */
  tellsEnd(detail: string, causes: Causes): void {
    const reason = detail.replace(/^.* has ended: /, "");
    const said = `${this.label} is told as ended (${reason}) after ${causes.text}`;
    if (this.endReason !== undefined) {
      hold(reason === this.endReason, `${said}, and before as ended (${this.endReason})`);
      return;
    }
    this.endReason = reason;
    if (this.#endsAsked.has(reason)) return;
    hold(TRUE_END.test(reason), `${said}, which is nothing that happened`);
    hold(causes.isDeadly(this.executor), `${said}, and nobody ended its executor`);
    const removed = causes.has(this.executor, "container removed");
    hold(removed || !reason.includes("removed"), `${said}, and nobody removed its container`);
    hold(!reason.includes("memory limit"), `${said}, and memory did not run out`);
  }

  /** It was answered as one that goes on. */
  tellsLife(): void {
    hold(this.endReason === undefined, `${this.label} is answered, and has ended (${this.endReason})`);
    hold(!this.endGranted, `${this.label} is answered, and was ended by its client`);
  }

  /** A quiet moment: what has not happened by now must not happen any more. */
  isQuiet(): void {
    for (const token of this.#pending) this.#never.add(token);
    this.#pending.clear();
    this.#mayBeFresh = false;
  }

  #staysInKernel(report: Report, said: string): void {
    hold(!this.#mustBeFresh, `${said} is the state of a kernel that is gone`);
    const known = new Set(this.#done);
    const kept = report.tokens.filter((done) => known.has(done));
    hold(kept.join() === this.#done.join(), `${said} lacks what was acknowledged: ${this.#done.join()}`);
  }

  #hasFreshKernel(restarted: boolean, said: string, causes: Causes): void {
    hold(
      this.#mayBeFresh || causes.has(this.executor, "kernel killed"),
      `${said} lost its state after ${causes.text}; it was ${this.#done.join()} in kernel ${this.#kernel}`,
    );
    hold(restarted || this.#told, `${said} lost its state, and its client was not told`);
    this.#done = [];
  }

  /** Every step of the list is known or possible, and none is there twice. */
  #holdSteps({ tokens, counter, value }: Report, token: string, said: string): void {
    hold(new Set(tokens).size === tokens.length, `${said}: a step happened twice`);
    hold(tokens.includes(token), `${said}: its own step ${token} did not happen`);
    const known = new Set(this.#done);
    for (const done of tokens) {
      hold(!this.#never.has(done), `${said}: step ${done} happened after a quiet moment without it`);
      hold(known.has(done) || this.#pending.has(done), `${said}: nobody asked for step ${done} here`);
    }
    hold(counter === tokens.length, `${said}: the counter differs from the steps`);
    const setter = tokens.findLast((done) => this.#values.has(done));
    const expected = setter === undefined ? null : (this.#values.get(setter) ?? null);
    hold(value === expected, `${said}: the value is not ${expected}`);
  }
}
