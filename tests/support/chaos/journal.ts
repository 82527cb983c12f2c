const TRACE_LINES = 2_000;

/** What happened: counted for the report, and line by line for who has to find out why something failed. */
export class Journal {
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #trace: string[] = [];
  readonly #begun = performance.now();

  count(group: string, what: string): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>();
    this.#counts.set(group, counts);
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }

  note(line: string): void {
    this.#trace.push(`${((performance.now() - this.#begun) / 1000).toFixed(3).padStart(8)} ${line}`);
    if (this.#trace.length > TRACE_LINES) this.#trace.shift();
  }

  /** How often each thing of a group happened, the most frequent first. */
  counts(group: string): [what: string, times: number][] {
    return [...(this.#counts.get(group) ?? [])].toSorted(([, a], [, b]) => b - a);
  }

  total(group: string): number {
    return this.counts(group).reduce((sum, [, times]) => sum + times, 0);
  }

  get trace(): readonly string[] {
    return this.#trace;
  }
}

/** A promise of the fleet that was broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** @throws {Violation} `what` unless it holds */
export function hold(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Violation(what);
}
