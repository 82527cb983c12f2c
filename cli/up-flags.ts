import { Option, type Command } from "commander";
import { z } from "zod";

/** The flags of `fleet up` as they were typed. */
export const upFlagsSchema = z.object({
  numContainers: z.string().optional(),
  types: z.string().optional(),
  reset: z.string().optional(),
  mountableVolumes: z.string().optional(),
  mountableVolumeSaveto: z.string().optional(),
  env: z.array(z.string()).default([]),
  envFile: z.string().optional(),
  executionTimeout: z.string().optional(),
  memory: z.string().optional(),
  cpus: z.string().optional(),
  pids: z.string().optional(),
  host: z.string().optional(),
  port: z.string().optional(),
  backend: z.enum(["auto", "docker", "process"]).default("auto"),
  allocation: z.enum(["open", "strict"]).optional(),
  idleTimeout: z.string().optional(),
  namespace: z.string().optional(),
  config: z.string().optional(),
  autoCreate: z.boolean().optional(),
  apiKeyFile: z.string().optional(),
  dataDir: z.string().optional(),
  detach: z.boolean().default(false),
  verbose: z.boolean().default(false),
});
export type UpFlags = z.infer<typeof upFlagsSchema>;

/** A command with the flags of `fleet up`. Those that `generate-compose` has, too, mean the same there. */
export function withUpFlags(command: Command): Command {
  return command
    .option("-n, --num-containers <n>", "how many executors (default: the sum of --types, else 2)")
    .option("-t, --types <list>", "python:2,typescript:1; name=image:tag for an image of yours (docker)")
    .option(
      "--reset <kind>",
      "what ends with a session: its kernel, or the whole container (docker); by type: python=container,typescript=kernel",
    )
    .option("-m, --mountable-volumes <dir>", "code that every executor loads")
    .option("-s, --mountable-volume-saveto <dir>", "makes dir/container_000 …, a submission directory each")
    .option("-e, --env <k=v>", "environment of executors: k=v or k=v,k2=v2; repeatable", collect)
    .option("--env-file <file>", "environment of executors from a file")
    .option("--execution-timeout <seconds>", "time limit of an execution (default: 30)")
    .option("--memory <size>", "memory of one executor (docker; default: 256M, typescript 512M)")
    .option("--cpus <n>", "cores of one executor (docker; default: 0.25)")
    .option("--pids <n>", "processes and threads of one executor (docker; default: 256)")
    .option("--port <port>", "port of the manager, 0 for any free one (default: 5000)")
    .option("--host <address>", "address the manager listens on (default: 127.0.0.1)")
    .addOption(
      new Option("--backend <kind>", "how executors run; auto: docker where an engine answers, else process")
        .choices(["auto", "docker", "process"])
        .default("auto"),
    )
    .addOption(
      new Option(
        "--allocation <mode>",
        "open: executing on a free executor opens a session; strict: only after /allocate (default: open)",
      ).choices(["open", "strict"]),
    )
    .option("--idle-timeout <seconds>", "how long a session may do nothing until it ends (default: 1800)")
    .option("--namespace <name>", "where session names count that say none (default: default)")
    .option("--auto-create", "make named sessions that are looked for and not there")
    .option("--config <file>", "the fleet's config, which names sessions to open at the start")
    .option("--api-key-file <file>", "keys of which callers of the manager must show one")
    .option("-d, --detach", "run in the background; returns when the fleet is ready")
    .addOption(new Option("--no-detach").hideHelp());
}

function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}
