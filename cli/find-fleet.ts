import { FleetClient } from "#client/fleet-client.ts";
import type { CliContext } from "./cli-context.ts";
import { CliError, usageError } from "./cli-error.ts";
import { DataDir } from "./data-dir.ts";

/** How a command was told which fleet it speaks to. */
export interface FleetChoice {
  url?: string | undefined;
  dataDir?: string | undefined;
}

/**
 * A client of the fleet that `--url` or FLEET_URL names, else of the one that runs in the data folder. The key is
 * that of FLEET_API_KEY.
 *
 * @throws {CliError} when there is none
 */
export async function findFleet(choice: FleetChoice, context: CliContext): Promise<FleetClient> {
  const { env } = context;
  const url = choice.url ?? (env["FLEET_URL"] || (await urlOfFolder(choice, context)));
  try {
    return new FleetClient({ url, apiKey: env["FLEET_API_KEY"] || undefined });
  } catch (error) {
    throw error instanceof TypeError ? usageError([error.message], error) : error;
  }
}

async function urlOfFolder(choice: FleetChoice, context: CliContext): Promise<string> {
  const dataDir = DataDir.choose(choice.dataDir, context.env);
  const state = await dataDir.readState();
  if (state?.url !== undefined) return state.url;
  throw new CliError(
    state?.pid !== undefined
      ? `the fleet in ${dataDir.path} (pid ${state.pid}) does not serve yet`
      : `no fleet runs in ${dataDir.path}: start one with "${context.commandLine("up")}", or name one with --url`,
  );
}
