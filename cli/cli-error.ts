/** Exit codes that every command shares. */
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** A failure as the user reads it: what, which one, and what to do about it. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(message: string, options: { cause?: unknown; exitCode?: number } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? EXIT_FAILURE;
  }
}

/** A command line, or an environment variable, that cannot be meant. Every problem is a line of its own. */
export function usageError(problems: readonly string[], cause?: unknown): CliError {
  return new CliError(problems.join("\n"), { exitCode: EXIT_USAGE, cause });
}
