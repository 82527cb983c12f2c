import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Logger } from "pino";
import type { CodeInfo } from "#contract/executor-api.ts";
import { describeExit } from "./kernel-process.ts";
import type { ExecuteReply, KernelEnding, LiveKernel } from "./live-kernel.ts";

const PYTHON_LOADER = new URL("./load_file.py", import.meta.url);
const INTERRUPT_GRACE_MS = 2000;

export interface CodeLoaderOptions {
  folder: string;
  /** How long one file may run. */
  timeoutMs: number;
  log: Logger;
}

type FileOutcome = { end: "executed" } | { end: "failed"; error: string } | { end: "killed"; error: string };

/** Executes the mounted files in a kernel's global scope, and remembers how that went. */
export class CodeLoader {
  readonly #options: CodeLoaderOptions;
  #executed: string[] = [];
  #failed: CodeInfo["failed"] = [];
  /** Files that no kernel survived. */
  #killers = new Map<string, string>();

  constructor(options: CodeLoaderOptions) {
    this.#options = options;
  }

  get info(): CodeInfo {
    return {
      workspace_folder: this.#options.folder,
      executed_files: this.#executed,
      failed: this.#failed,
    };
  }

  /** Forgets what earlier kernels made of the files. */
  reset(): void {
    this.#killers = new Map();
  }

  /**
   * Executes the files in name order. One that raises does not stop the others; one that takes the kernel with it is
   * left out the next time.
   *
   * @returns whether the kernel is still there; if not, call again with a fresh one.
   */
  async load(live: LiveKernel, { signal }: { signal: AbortSignal }): Promise<boolean> {
    this.#executed = [];
    this.#failed = [];
    const { folder, log } = this.#options;
    const { file_extension: extension, name: language } = live.info.language_info;
    if (extension === undefined) return true;
    const files = await listFiles(folder, extension);
    if (files === undefined) return true;
    const cellFor = language === "python" ? await pythonCells(folder) : sourceCells(folder);
    await this.#run(live, await cellFor(undefined));
    for (const file of files) {
      signal.throwIfAborted();
      const killed = this.#killers.get(file);
      if (killed !== undefined) {
        this.#failed.push({ file, error: killed });
        continue;
      }
      const outcome = await this.#runFile(live, file, await cellFor(file));
      if (outcome.end === "executed") {
        this.#executed.push(file);
        continue;
      }
      log.error({ file, error: outcome.error }, "a mounted file failed");
      if (outcome.end === "killed") {
        this.#killers.set(file, outcome.error);
        return false;
      }
      this.#failed.push({ file, error: outcome.error });
    }
    log.info({ folder, executed: this.#executed, failed: this.#failed.length }, "mounted code loaded");
    return true;
  }

  async #runFile(live: LiveKernel, file: string, code: string): Promise<FileOutcome> {
    const { timeoutMs } = this.#options;
    const stuck = Promise.withResolvers<FileOutcome>();
    const late = `did not end within ${timeoutMs / 1000} seconds (CODE_LOADING_TIMEOUT)`;
    let timedOut = false;
    let graceTimer: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      timedOut = true;
      live.interrupt();
      graceTimer = setTimeout(() => stuck.resolve({ end: "killed", error: late }), INTERRUPT_GRACE_MS);
    }, timeoutMs);
    const run = async (): Promise<FileOutcome> => {
      try {
        const reply = await this.#run(live, code, file);
        return timedOut ? { end: "failed", error: late } : fileOutcome(reply);
      } catch {
        return { end: "killed", error: timedOut ? late : endingInWords(await live.ended) };
      }
    };
    try {
      return await Promise.race([run(), stuck.promise]);
    } finally {
      clearTimeout(timer);
      clearTimeout(graceTimer);
    }
  }

  async #run(live: LiveKernel, code: string, file?: string): Promise<ExecuteReply> {
    return await live.execute({ code, silent: true, store_history: false }, (message) => {
      if (message.header.msg_type === "stream" && "text" in message.content) {
        this.#options.log.info({ file, output: message.content.text }, "output of mounted code");
      }
    });
  }
}

function endingInWords(ending: KernelEnding): string {
  return ending.cause === "died"
    ? `ended the kernel: ${describeExit(ending.exit)}`
    : "was not run to its end";
}

function fileOutcome(reply: ExecuteReply): FileOutcome {
  if (reply.status === "ok") return { end: "executed" };
  if (reply.status === "error") return { end: "failed", error: `${reply.ename}: ${reply.evalue}` };
  return { end: "failed", error: "not run" };
}

/** Names of the files to execute, in name order; undefined when the folder cannot be read. */
async function listFiles(folder: string, extension: string): Promise<string[] | undefined> {
  try {
    const entries = await readdir(folder);
    return entries.filter((name) => extname(name) === extension && !name.startsWith("_")).toSorted();
  } catch {
    return undefined;
  }
}

type CellFor = (file: string | undefined) => Promise<string>;

/** Cells that leave no name behind: the loader's source runs in a namespace of its own. */
async function pythonCells(folder: string): Promise<CellFor> {
  const loader = JSON.stringify(await readFile(PYTHON_LOADER, "utf8"));
  return async (file) => {
    const path = file === undefined ? "None" : JSON.stringify(join(folder, file));
    return `exec(${loader}, {"namespace": globals(), "folder": ${JSON.stringify(folder)}, "path": ${path}})`;
  };
}

/** Languages without a loader of their own: the file's text is the cell. */
function sourceCells(folder: string): CellFor {
  return async (file) => (file === undefined ? "" : await readFile(join(folder, file), "utf8"));
}
