import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** File, what it imports, and the reason that lint has to give; `undefined` where the import is allowed. */
const ARROWS = [
  ["contract/a.ts", "#manager/config.ts", "contract/ is what manager, executor and clients agree on"],
  ["contract/a.ts", "#executor/config.ts", "contract/ is what manager, executor and clients agree on"],
  ["contract/a.ts", "#client/a.ts", "contract/ is what manager, executor and clients agree on"],
  ["contract/a.ts", "#cli/a.ts", "contract/ is what manager, executor and clients agree on"],
  ["compose/a.ts", "#manager/config.ts", "compose/ is pure"],
  ["compose/a.ts", "#executor/config.ts", "compose/ is pure"],
  ["compose/a.ts", "#client/a.ts", "compose/ is pure"],
  ["compose/a.ts", "#cli/a.ts", "compose/ is pure"],
  ["compose/a.ts", "#contract/a.ts", undefined],
  ["client/a.ts", "#manager/config.ts", "A client knows the manager by its API alone"],
  ["client/a.ts", "#executor/config.ts", "A client knows the manager by its API alone"],
  ["client/a.ts", "#cli/a.ts", "A client knows the manager by its API alone"],
  ["client/a.ts", "#contract/a.ts", undefined],
  ["executor/a.ts", "#manager/config.ts", "The executor runs alone beside its kernel"],
  ["executor/kernel/a.ts", "#cli/a.ts", "The executor runs alone beside its kernel"],
  ["executor/kernel/zmq-transport.ts", "#compose/a.ts", "The executor runs alone beside its kernel"],
  ["executor/a.ts", "#executor/kernel/a.ts", undefined],
  ["manager/a.ts", "#executor/config.ts", "The manager imports neither executor/"],
  ["manager/start-manager.ts", "#executor/config.ts", "The manager imports neither executor/"],
  ["manager/a.ts", "#cli/a.ts", "The manager imports neither executor/"],
  ["manager/a.ts", "#manager/http/a.ts", undefined],
  ["manager/http/a.ts", "#executor/config.ts", "Arrows: http -> sessions"],
  ["manager/http/a.ts", "#manager/start-manager.ts", "Arrows: http -> sessions"],
  ["manager/http/a.ts", "#manager/sessions/a.ts", undefined],
  ["manager/sessions/a.ts", "#manager/http/a.ts", "sessions/ knows nothing of http/"],
  ["manager/sessions/a.ts", "#executor/config.ts", "sessions/ knows nothing of http/"],
  ["manager/sessions/a.ts", "#manager/executions/a.ts", undefined],
  ["manager/sessions/a.ts", "#manager/fleet/a.ts", undefined],
  ["manager/executions/a.ts", "#manager/sessions/a.ts", "executions/ knows nothing of those above it"],
  ["manager/executions/a.ts", "#manager/http/a.ts", "executions/ knows nothing of those above it"],
  ["manager/executions/a.ts", "#manager/fleet/a.ts", undefined],
  ["manager/fleet/a.ts", "#manager/sessions/a.ts", "fleet/ knows nothing of those above it"],
  ["manager/fleet/a.ts", "#manager/http/a.ts", "fleet/ knows nothing of those above it"],
  ["manager/fleet/a.ts", "#manager/executions/a.ts", "fleet/ knows nothing of those above it"],
  ["manager/fleet/docker/engine.ts", "#manager/http/a.ts", "fleet/ knows nothing of those above it"],
  ["manager/fleet/docker/a.ts", "#manager/fleet/a.ts", undefined],
  ["cli/a.ts", "#manager/a.ts", undefined],
  ["cli/a.ts", "#tests/support/a.ts", "What ships does not need tests/"],
  ["manager/fleet/a.ts", "dockerode", "One owner per thing: the engine in manager/fleet/docker/engine.ts"],
  ["manager/fleet/docker/a.ts", "dockerode", "One owner per thing"],
  ["cli/a.ts", "dockerode", "One owner per thing"],
  ["manager/fleet/docker/engine.ts", "dockerode", undefined],
  ["executor/kernel/a.ts", "zeromq", "ZeroMQ in executor/kernel/zmq-transport.ts"],
  ["manager/a.ts", "zeromq", "ZeroMQ in executor/kernel/zmq-transport.ts"],
  ["executor/kernel/zmq-transport.ts", "zeromq", undefined],
  ["manager/sessions/a.ts", "hono", "HTTP in executor/ and manager/http/"],
  ["manager/fleet/a.ts", "hono/body-limit", "HTTP in executor/ and manager/http/"],
  ["manager/config.ts", "@hono/node-server", "HTTP in executor/ and manager/http/"],
  ["cli/a.ts", "@hono/zod-openapi", "HTTP in executor/ and manager/http/"],
  ["manager/http/a.ts", "hono", undefined],
  ["manager/start-manager.ts", "@hono/node-server", undefined],
  ["executor/a.ts", "hono", undefined],
  ["manager/http/a.ts", "../fleet/a.ts", "A relative import never leaves its folder"],
  ["tests/unit/a.ts", "../support/a.ts", "A relative import never leaves its folder"],
  ["tests/unit/a.ts", "dockerode", undefined],
] as const;

const reportSchema = z.object({
  diagnostics: z.array(
    z.object({
      code: z.string(),
      filename: z.string(),
      help: z.string().optional(),
      labels: z.array(z.object({ span: z.object({ line: z.int() }) })),
    }),
  ),
});

let folder: string;
/** The reason that lint gives, by file and import. */
const reasons = new Map<string, string | undefined>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleet-lint-"));
  await cp(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  const imports = Map.groupBy(ARROWS, ([file]) => file);
  for (const [file, arrows] of imports) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), arrows.map(([, imported]) => `import "${imported}";\n`).join(""));
  }
  for (const { filename, help, labels } of await restrictedImports()) {
    const file = ARROWS.find(([name]) => name === filename)?.[0];
    const arrow = file && imports.get(file)?.[(labels[0]?.span.line ?? 0) - 1];
    reasons.set(`${filename} ${arrow?.[1]}`, help);
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** Lint fails on these files, so its report comes with the error of the process. */
async function restrictedImports() {
  const oxlint = join(root, "node_modules/.bin/oxlint");
  const failed = await promisify(execFile)(oxlint, ["--format=json"], { cwd: folder }).then(
    () => undefined,
    (error: unknown) => error,
  );
  const { stdout } = z.object({ code: z.literal(1), stdout: z.string() }).parse(failed);
  return reportSchema
    .parse(JSON.parse(stdout))
    .diagnostics.filter((diagnostic) => diagnostic.code === "eslint(no-restricted-imports)");
}

test.each(ARROWS.filter(([, , reason]) => reason !== undefined))(
  "lint refuses that %s imports %s, and says why",
  (file, imported, reason) => {
    expect(reasons.get(`${file} ${imported}`)).toContain(reason);
  },
);

test.each(ARROWS.filter(([, , reason]) => reason === undefined))(
  "lint lets %s import %s",
  (file, imported) => {
    expect(reasons.has(`${file} ${imported}`)).toBe(false);
  },
);
