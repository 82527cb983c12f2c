import { orAborted } from "#manager/fleet/or-aborted.ts";

/** One attempt at something that concurrent callers share. It is given up when the last of them has gone. */
export class SharedAttempt<T> {
  readonly #controller = new AbortController();
  readonly #result: Promise<T>;
  #callers = 0;

  constructor(attempt: (signal: AbortSignal) => Promise<T>) {
    this.#result = attempt(this.#controller.signal);
    this.#result.catch(() => undefined);
  }

  /** Whether it was given up, so that nobody new should join it. */
  get isGivenUp(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Resolves when the attempt is over, however it went; rejects with the signal's reason. */
  async settled(signal: AbortSignal): Promise<void> {
    const over = this.#result.then(
      () => undefined,
      () => undefined,
    );
    await orAborted(over, signal);
  }

  /** Waits for the result; rejects with what the attempt threw, or with the signal's reason. */
  async join(signal: AbortSignal): Promise<T> {
    this.#callers += 1;
    try {
      signal.throwIfAborted();
      return await orAborted(this.#result, signal);
    } finally {
      this.#callers -= 1;
      if (this.#callers === 0) this.#controller.abort(new Error("nobody waits for it any more"));
    }
  }
}
