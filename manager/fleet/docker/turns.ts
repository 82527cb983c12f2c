/** One thing at a time for each executor, and for several of them together, in the order of the calls. */
export class Turns {
  readonly #last = new Map<number, Promise<unknown>>();

  /** Runs the task when everything is done that was asked for before for one of these executors. */
  take<T>(numbers: Iterable<number>, task: () => Promise<T>): Promise<T> {
    const own = new Set(numbers);
    const before = [...own].map((number) => this.#last.get(number) ?? Promise.resolve());
    const turn = Promise.all(before).then(task);
    // Who comes next waits for the end, however that was.
    const ended = turn.catch(() => undefined);
    for (const number of own) this.#last.set(number, ended);
    return turn;
  }
}
