/** What became of a text that a user gave: its value, or everything that is wrong with it. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: string[] };

export function valid<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function invalid<T>(...problems: string[]): Parsed<T> {
  return { ok: false, problems };
}

/** Collects the problems of many settings, so that a user reads all of them at once. */
export class Problems {
  readonly list: string[] = [];

  add(setting: string, problem: string): void {
    this.list.push(`${setting}: ${problem}`);
  }

  /** The value of one setting, or undefined after its problems were added. */
  take<T>(setting: string, parsed: Parsed<T>): T | undefined {
    if (parsed.ok) return parsed.value;
    for (const problem of parsed.problems) this.add(setting, problem);
    return undefined;
  }

  /** Like `take`, for a setting that may be absent. */
  takeOptional<T>(
    setting: string,
    text: string | undefined,
    parse: (text: string) => Parsed<T>,
  ): T | undefined {
    return text === undefined ? undefined : this.take(setting, parse(text));
  }
}

/** A text of the user inside a one-line message: quoted, its control characters escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}
