/** A value of a Compose file. */
export type ComposeValue = string | number | boolean | ComposeValue[] | { [key: string]: ComposeValue };

/** One service, network, volume or secret. */
export type ComposeObject = Record<string, ComposeValue>;

/** A Compose file. Source of the keys: the Compose specification. */
export interface ComposeDocument {
  name: string;
  services: Record<string, ComposeObject>;
  networks?: Record<string, ComposeObject>;
  volumes?: Record<string, ComposeObject>;
  secrets?: Record<string, ComposeObject>;
}
