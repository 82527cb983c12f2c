import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { z } from "zod";
import { parseInteger, parseTimeout } from "#compose/parse-limits.ts";
import { Problems } from "#compose/parsed.ts";
import { errorText } from "#contract/errors.ts";
import type { CliContext } from "./cli-context.ts";
import { usageError } from "./cli-error.ts";
import { EXIT_CODE_HELP } from "./exit-code.ts";
import { findFleet } from "./find-fleet.ts";
import { runCode } from "./run-code.ts";

const flagsSchema = z.object({
  url: z.string().optional(),
  dataDir: z.string().optional(),
  session: z.string().optional(),
  type: z.string().optional(),
  timeout: z.string().optional(),
  wait: z.string().optional(),
});

const STDIN = "-";
/** The longest that the manager lets a client wait. */
const MAX_WAIT_S = 3600;
const DEFAULT_TYPE = "python";
const TYPE_OF_EXTENSION: Readonly<Record<string, string>> = {
  ".ts": "typescript",
  ".mts": "typescript",
  ".js": "typescript",
  ".mjs": "typescript",
};

/** `fleet run FILE`: runs the code of a file. */
export function runCommand(context: CliContext): Command {
  return describeRun(new Command("run"))
    .description("Runs the code of a file in a new session, which ends with it; - reads standard input.")
    .argument("<file>")
    .action(async (file: string, _options: unknown, command: Command) => {
      await run(await readCode(file), TYPE_OF_EXTENSION[extname(file)] ?? DEFAULT_TYPE, command, context);
    });
}

/** `fleet exec CODE`: runs code that is given on the command line. */
export function execCommand(context: CliContext): Command {
  return describeRun(new Command("exec"))
    .description("Runs code in a new session, which ends with it; - reads standard input.")
    .argument("<code>")
    .action(async (code: string, _options: unknown, command: Command) => {
      await run(code === STDIN ? await text(process.stdin) : code, DEFAULT_TYPE, command, context);
    });
}

function describeRun(command: Command): Command {
  return command
    .option("--url <url>", "manager to ask (default: FLEET_URL, else the fleet of the data folder)")
    .option(
      "--session <ref>",
      "run in this session, an executor number, a session id or name@namespace, and keep it",
    )
    .option("--type <type>", "type of the executor (default: by the file's name, else python)")
    .option("--timeout <seconds>", "time limit of the execution (default: the fleet's)")
    .option("--wait <seconds>", "how long to wait for a free executor (default: 30)")
    .addHelpText("after", `\n${EXIT_CODE_HELP}`);
}

async function run(code: string, typeOfFile: string, command: Command, context: CliContext): Promise<void> {
  const flags = flagsSchema.parse(command.optsWithGlobals());
  const problems = new Problems();
  const timeout = problems.takeOptional("--timeout", flags.timeout, parseTimeout);
  const wait = problems.takeOptional("--wait", flags.wait, (seconds) =>
    parseInteger(seconds, "number of seconds", 0, MAX_WAIT_S),
  );
  if (flags.session !== undefined && flags.type !== undefined)
    problems.add("--type", "a session has its type already: leave it out, or --session");
  if (problems.list.length > 0) throw usageError(problems.list);
  await using client = await findFleet(flags, context);
  process.exitCode = await runCode(client, {
    code,
    session: flags.session,
    type: flags.type ?? typeOfFile,
    timeout,
    wait,
  });
}

async function readCode(file: string): Promise<string> {
  if (file === STDIN) return await text(process.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw usageError([`cannot read ${file}: ${errorText(error)}`], error);
  }
}
