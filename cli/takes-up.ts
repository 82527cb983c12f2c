import type { BackendChoice } from "./choose-backend.ts";
import type { CliContext } from "./cli-context.ts";
import { CliError } from "./cli-error.ts";
import type { FleetState } from "./data-dir.ts";

/**
 * Executors of another backend may hold detached sessions, which nobody would find again.
 *
 * @throws {CliError} that says how to go on
 */
export function assertTakesUp(choice: BackendChoice, left: FleetState["backend"], context: CliContext): void {
  if (left === undefined || left === choice.name) return;
  throw new CliError(
    `executors of the last fleet may be left, which had --backend ${left}: take them up with that, ` +
      `or end them with "${context.commandLine("down")}" first`,
  );
}
