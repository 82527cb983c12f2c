import { Engine } from "#manager/fleet/docker/engine.ts";

/**
 * Why docker tests are skipped, or undefined when they run. With FLEET_REQUIRE_DOCKER they always run, so that a
 * missing engine fails them.
 */
export async function reasonToSkipDocker(): Promise<string | undefined> {
  if (process.env["FLEET_REQUIRE_DOCKER"] !== undefined) return undefined;
  return await new Engine().info().then(
    () => undefined,
    (error: unknown) =>
      `no Docker engine answers (${error instanceof Error ? error.message : String(error)})`,
  );
}
