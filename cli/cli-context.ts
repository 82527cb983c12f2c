import { dirname, join } from "node:path";

/** After some work an executor takes 60 MB less with these, and no more time. The images use the same. */
const EXECUTOR_NODE_OPTIONS = ["--optimize-for-size", "--max-semi-space-size=2"];

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the command's process was started with. */
export class CliContext {
  readonly env: Environment;
  /** Arguments after the program's name. */
  readonly args: readonly string[];
  /** The file that this process runs: the source, or the bundle. */
  readonly mainFile: string;

  constructor(options: { env: Environment; args: readonly string[]; mainFile: string }) {
    this.env = options.env;
    this.args = options.args;
    this.mainFile = options.mainFile;
  }

  /** The project's folder: above the source's folder and above the bundle's. */
  get projectDir(): string {
    return join(dirname(this.mainFile), "..");
  }

  /** How the user types another `fleet` command: under npm it is not on PATH. */
  commandLine(command: string): string {
    return this.env["npm_lifecycle_event"] === undefined ? `fleet ${command}` : `npm run fleet -- ${command}`;
  }

  /** Command line that starts another of the project's programs the way this one was started. */
  get executorCommand(): readonly string[] {
    const fromSource = this.mainFile.endsWith(".ts");
    const file = fromSource ? ["executor", "main.ts"] : ["dist", "executor.js"];
    return [process.execPath, ...EXECUTOR_NODE_OPTIONS, join(this.projectDir, ...file)];
  }
}
