/** Settings with which a process cannot start; the message names every bad one. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
