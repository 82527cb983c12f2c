import { readFleetConfig, type FleetConfig } from "./fleet-config.ts";
import { readKeyFile } from "./key-file.ts";

/** What the files hold that a manager's environment names. */
export interface SettingsFiles {
  keysOfFile: readonly string[];
  config: FleetConfig;
}

/** @throws {ConfigError} for a file that cannot be read or that holds nothing of use */
export async function readSettingsFiles(env: {
  FLEET_API_KEYS_FILE?: string | undefined;
  FLEET_CONFIG_FILE?: string | undefined;
  FLEET_NAMESPACE: string;
}): Promise<SettingsFiles> {
  const { FLEET_API_KEYS_FILE: keys, FLEET_CONFIG_FILE: config, FLEET_NAMESPACE: namespace } = env;
  return {
    keysOfFile: keys === undefined ? [] : await readKeyFile(keys, "FLEET_API_KEYS_FILE"),
    config: config === undefined ? { bootstrap: [] } : await readFleetConfig(config, namespace),
  };
}
