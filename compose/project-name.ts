/** Files that need no name of their own: Compose finds them by itself, one in a directory. */
const DEFAULT_STEMS = new Set(["", "docker-compose", "compose"]);

/**
 * Name of the Compose project of a file: its directory and, unless the file is the directory's default one, its stem.
 * Compose's own default is the directory alone, so that two fleets of one directory would replace each other's
 * containers. What a project name may not hold becomes a dash.
 */
export function projectName(directory: string, stem: string): string {
  const parts = DEFAULT_STEMS.has(stem) ? [directory] : [directory, stem];
  const name = parts
    .map((part) =>
      part
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]+/g, "-")
        .replaceAll(/^[^a-z0-9]+|-+$/g, ""),
    )
    .filter((part) => part !== "")
    .join("-");
  return name === "" ? "fleet" : name;
}
