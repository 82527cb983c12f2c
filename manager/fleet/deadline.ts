/**
 * A signal that aborts after a time; `Infinity` is never. Disposing of it ends its timer, unlike that of
 * `AbortSignal.timeout`, which keeps all that waited with it in memory until its time has come.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    if (ms !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#controller.abort(), ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get hasPassed(): boolean {
    return this.signal.aborted;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
