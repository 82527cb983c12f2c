import type { ChaosWorld, CellOptions } from "./chaos-world.ts";
import { ENV_NAME, type Cell } from "./cells.ts";
import { holdDescription, holdRefusedOpening, holdSum } from "./hold-answers.ts";
import { hold } from "./journal.ts";
import type { Step, StepKind } from "./plan-batch.ts";
import type { Random } from "./random.ts";
import { RememberedSession, type RememberedTerms } from "./remembered-session.ts";

const NAMESPACE = "chaos";
/** Seconds to wait for a free executor. */
const WAIT = 0.5;
const HANG_UP_WITHIN_MS = 30;

/** What a client was told of an opening. */
interface Opened {
  id: string;
  executor: number;
  created: boolean;
}

/** One client, which does one step after the other and has one session at a time. */
export class ChaosClient {
  readonly #world: ChaosWorld;
  readonly #name: string;
  #session: RememberedSession | undefined;
  #lastOver: RememberedSession | undefined;
  /** What it asks for until it has it: of an opening that broke off nobody knows what became. */
  #wanted: RememberedTerms | undefined;

  constructor(world: ChaosWorld, index: number) {
    this.#world = world;
    this.#name = `client-${index}`;
  }

  async step({ kind, random }: Step): Promise<void> {
    this.#world.journal.note(`${this.#name}: ${kind}`);
    this.#world.journal.count("steps", kind);
    if (this.#session?.isOver) this.#forget();
    const session = this.#session;
    if (kind === "status") return await this.#status();
    if (kind === "use an ended id") return await this.#useEnded();
    if (session) await this.#stepIn(session, kind, random);
    else if (kind === "hang up while opening") await this.#hangUpWhileOpening(random);
    else await this.#open(random);
  }

  async #stepIn(session: RememberedSession, kind: StepKind, random: Random): Promise<void> {
    const world = this.#world;
    const { id } = session;
    const as = random.chance(0.3) ? "json" : "stream";
    switch (kind) {
      case "increment":
        return await this.#run(session, {}, { as });
      case "set":
        return await this.#run(session, { value: world.token("value-") }, { as });
      case "long":
        return await this.#run(session, { long: true }, { as });
      case "kernel suicide":
        session.asksForRestart();
        return await this.#run(session, { suicide: true }, { as, suicide: true });
      case "long, interrupted":
        return await this.#long(session, { interrupted: true }, async () => {
          await world.callSession(session, "interrupt", ({ client }, signal) =>
            client.interrupt(id, { signal }),
          );
        });
      case "long, restarted":
        return await this.#long(session, {}, () => this.#restart(session));
      case "long, ended":
        return await this.#long(session, {}, () => this.#end(session, random));
      case "long, queued behind":
        return await this.#long(session, {}, () => this.#run(session, {}, { as }));
      case "long, hung up": {
        const hangUp = new AbortController();
        return await this.#long(session, { hangUp: hangUp.signal }, async () => hangUp.abort());
      }
      case "kernel restart":
        return await this.#restart(session);
      case "ensure again":
        return await this.#ensureAgain(session);
      case "renew":
        await world.callSession(session, "renew", ({ client }, signal) => client.renew(id, {}, { signal }));
        return;
      case "delete":
        return await this.#delete(session);
      case "deallocate":
        return await this.#deallocate(session, 10);
      case "deallocate, not waiting":
        return await this.#deallocate(session, 0);
      case "read":
      case "show":
      case "hang up while opening":
        await this.#show(session);
        return await this.#run(session, {}, { as });
      case "status":
      case "use an ended id":
    }
  }

  async #run(
    session: RememberedSession,
    cell: Omit<Cell, "secret" | "token">,
    options: CellOptions = {},
  ): Promise<void> {
    await this.#world.run(session, { ...cell, token: this.#world.token(`${this.#name}/`) }, options);
  }

  /** Does something while a long cell runs; where it does not come to that, nothing. */
  async #long(
    session: RememberedSession,
    options: CellOptions,
    meanwhile: () => Promise<void>,
  ): Promise<void> {
    const begun = Promise.withResolvers<boolean>();
    const run = this.#run(session, { long: true }, { ...options, onOutput: () => begun.resolve(true) });
    const over = run.finally(() => begun.resolve(false));
    const companion = begun.promise.then((hasBegun) => (hasBegun ? meanwhile() : undefined));
    await Promise.all([over, companion]);
  }

  async #show(session: RememberedSession): Promise<void> {
    const answer = await this.#world.callSession(session, "show", ({ client }, signal) =>
      client.session(session.id, { signal }),
    );
    if (answer.kind === "value") holdDescription(session, answer.value, this.#world.causes);
  }

  async #restart(session: RememberedSession): Promise<void> {
    session.asksForRestart();
    const answer = await this.#world.callSession(session, "restart", ({ client }, signal) =>
      client.restart(session.id, { signal }),
    );
    if (answer.kind === "value") session.restartGranted();
  }

  async #end(session: RememberedSession, random: Random): Promise<void> {
    if (random.chance(0.5)) await this.#delete(session);
    else await this.#deallocate(session, random.chance(0.5) ? 10 : 0);
  }

  async #delete(session: RememberedSession): Promise<void> {
    session.asksForEnd("ended by a client");
    const answer = await this.#world.callSession(session, "delete", ({ client }, signal) =>
      client.endSession(session.id, { signal }),
    );
    if (answer.kind === "value") session.endGranted = true;
  }

  async #deallocate(session: RememberedSession, wait: number): Promise<void> {
    session.asksForEnd("deallocated");
    const answer = await this.#world.callSession(session, "deallocate", ({ client }, signal) =>
      client.deallocate(session.id, { wait, signal }),
    );
    if (answer.kind === "value") session.endGranted = true;
    if (answer.kind === "refused") await this.#confirmEnd(session);
  }

  /** It must be over by what the client was told of it. */
  async #confirmEnd(session: RememberedSession): Promise<void> {
    const answer = await this.#world.callSession(session, "show", ({ client }, signal) =>
      client.session(session.id, { signal }),
    );
    hold(answer.kind !== "value", `${session.label} is there, and was told not to be`);
  }

  async #open(random: Random): Promise<void> {
    const wanted = (this.#wanted ??= this.#wish(random));
    const answer =
      wanted.name === undefined
        ? await this.#allocate()
        : await this.#ensure({ ...wanted, name: wanted.name }, random.chance(0.3));
    if (!answer) return;
    this.#wanted = undefined;
    await this.#run(this.#remember(answer, wanted), {});
  }

  #remember({ id, executor, created }: Opened, terms: RememberedTerms): RememberedSession {
    const { sessions, journal } = this.#world;
    hold(!sessions.has(id), `the id ${id} was given out twice`);
    if (!created) this.#world.untold -= 1;
    const session = new RememberedSession(id, executor, terms);
    sessions.set(id, session);
    this.#session = session;
    const detached = terms.detached ? "detached, " : "";
    const env = terms.hasEnv ? "with env, " : "";
    journal.count("opened", `${detached}${env}${terms.name === undefined ? "allocated" : "named"}`);
    return session;
  }

  #wish(random: Random, named = random.chance(0.6)): RememberedTerms {
    const secret = this.#world.token(`${this.#name}-secret-`);
    if (!named) return { name: undefined, secret, detached: false, hasEnv: false };
    return { name: this.#name, secret, detached: random.chance(0.5), hasEnv: random.chance(0.4) };
  }

  async #allocate(hangUp?: AbortSignal): Promise<Opened | undefined> {
    const answer = await this.#world.call(
      `${this.#name} allocates`,
      ({ client }, signal) => client.allocate({ wait: WAIT, signal }),
      hangUp,
    );
    if (answer.kind === "broken") this.#world.untold += 1;
    if (answer.kind === "refused") holdRefusedOpening(answer.error, this.#world.causes);
    if (answer.kind !== "value") return undefined;
    return { id: answer.value.session_id, executor: answer.value.container_id, created: true };
  }

  /** Opens its named session; `twice` by two requests that race. */
  async #ensure(terms: RememberedTerms & { name: string }, twice: boolean): Promise<Opened | undefined> {
    const { name, detached, hasEnv, secret } = terms;
    const spec = { wait: WAIT, detached, env: hasEnv ? { [ENV_NAME]: secret } : {} };
    const answers = await Promise.all(
      Array.from({ length: twice ? 2 : 1 }, () =>
        this.#world.call(`${this.#name} ensures ${JSON.stringify(spec)}`, ({ client }, signal) =>
          client.ensureSession({ name, namespace: NAMESPACE }, spec, { signal }),
        ),
      ),
    );
    for (const answer of answers)
      if (answer.kind === "refused") holdRefusedOpening(answer.error, this.#world.causes);
    const told = answers.flatMap((answer) => (answer.kind === "value" ? [answer.value] : []));
    const [first, second = first] = told;
    // What was opened without its client learning of it; requests that race share one session.
    if (answers.some(({ kind }) => kind === "broken")) this.#world.untold += 1;
    if (!first || !second) return undefined;
    const created = told.some((one) => one.created);
    const said = `${name} was answered ${JSON.stringify(told)}`;
    const { session_id: id, container_id: executor } = second.session;
    const { causes, untold } = this.#world;
    hold(
      id === first.session.session_id || causes.isDeadly(first.session.container_id),
      `${said}: two sessions`,
    );
    hold(created || untold > 0, `${said}: nobody opened it`);
    return { id, executor, created };
  }

  /** Asks for its named session, which it has already unless it has ended. */
  async #ensureAgain(session: RememberedSession): Promise<void> {
    const { name, detached, hasEnv, secret } = session.terms;
    if (name === undefined) return await this.#show(session);
    const spec = { wait: WAIT, detached, env: hasEnv ? { [ENV_NAME]: secret } : {} };
    const answer = await this.#world.call(`${this.#name} ensures again`, ({ client }, signal) =>
      client.ensureSession({ name, namespace: NAMESPACE }, spec, { signal }),
    );
    if (answer.kind === "broken") this.#world.untold += 1;
    if (answer.kind === "refused") holdRefusedOpening(answer.error, this.#world.causes);
    if (answer.kind === "value" && answer.value.session.session_id === session.id) {
      hold(!answer.value.created, `${session.label} was told as new`);
      return holdDescription(session, answer.value.session, this.#world.causes);
    }
    if (answer.kind === "broken") return;
    await this.#confirmEnd(session);
    if (answer.kind !== "value") return;
    this.#forget();
    this.#remember(
      {
        id: answer.value.session.session_id,
        executor: answer.value.session.container_id,
        created: answer.value.created,
      },
      session.terms,
    );
  }

  async #hangUpWhileOpening(random: Random): Promise<void> {
    const hangUp = new AbortController();
    const timer = setTimeout(() => hangUp.abort(), random.below(HANG_UP_WITHIN_MS));
    const answer = await this.#allocate(hangUp.signal);
    clearTimeout(timer);
    if (answer) await this.#run(this.#remember(answer, this.#wish(random, false)), {});
  }

  async #useEnded(): Promise<void> {
    const over = this.#lastOver;
    if (!over) return;
    await this.#confirmEnd(over);
    await this.#run(over, {});
  }

  async #status(): Promise<void> {
    const answer = await this.#world.call("status", ({ client }, signal) => client.status({ signal }));
    if (answer.kind === "value") holdSum(answer.value);
  }

  #forget(): void {
    this.#lastOver = this.#session;
    this.#session = undefined;
  }
}
