/** The keys of a key file: one a line; empty lines and lines that begin with # are passed over. */
export function parseKeyFile(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}
