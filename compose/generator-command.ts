import { Command } from "commander";

/** The flags of `generate-compose`; `parseFlags` says what they mean. Reads nothing and runs nothing by itself. */
export function generatorCommand(): Command {
  return new Command("generate-compose")
    .description("Writes a Compose file for a fleet of executors, and the manager's configuration beside it.")
    .option("-n, --num-containers <n>", "how many executors (default: the sum of --types, else 2)")
    .option(
      "-t, --types <list>",
      "python:2,typescript:1; an entry name=image:tag makes a type from that image",
    )
    .option(
      "--reset <kind>",
      "what ends with a session: its kernel, or the whole container; by type: python=container,typescript=kernel",
    )
    .option("-o, --output <file>", "Compose file to write, - for standard output", "docker-compose.yml")
    .option(
      "-c, --config-file <file>",
      "the manager's map (default: container_config.json beside the output)",
    )
    .option("-m, --mountable-volumes <dir>", "code that every executor loads")
    .option("-s, --mountable-volume-saveto <dir>", "makes dir/container_000 …, a submission directory each")
    .option("-e, --env <k=v>", "environment of executors: k=v or k=v,k2=v2; repeatable", collect, [])
    .option("--env-file <file>", "environment of executors from a file")
    .option("--preset <name>", "time limit of an execution: quick 5 s, default 30 s, long 300 s")
    .option("--execution-timeout <seconds>", "time limit of an execution")
    .option("--memory <size>", "memory of one executor (default: 256M; typescript 512M)")
    .option("--cpus <n>", "cores of one executor (default: 0.25)")
    .option("--pids <n>", "processes and threads of one executor (default: 256)")
    .option("-g, --gpu-ids <list>", "0,1,-,-: the GPU of each executor, - for none")
    .option(
      "--network <kind>",
      "of user code: none, egress (out only) or shared (one bridge for all)",
      "none",
    )
    .option("-p, --start-port <port>", "publish executor i on 127.0.0.1:port+i (needs a network)")
    .option("--manager-port <port>", "port on which the manager is published", "5000")
    .option("--publish <address>", "address on which the manager is published", "127.0.0.1")
    .option("--api-key-file <file>", "keys of which callers of the manager must show one")
    .option("--runtime <name>", "container runtime of executors, for example runsc");
}

function collect(value: string, earlier: string[]): string[] {
  return [...earlier, value];
}
