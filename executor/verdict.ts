import type { Outcome } from "#contract/execution.ts";
import { systemError, type ErrorOutput } from "#contract/outputs.ts";
import { describeExit } from "#executor/kernel/kernel-process.ts";
import type { ExecuteReply, KernelEnding } from "#executor/kernel/live-kernel.ts";

/** How a run on the kernel came to its end. */
export type Finish =
  | { by: "reply"; reply: ExecuteReply }
  /** The kernel ended first. */
  | { by: "ending"; ending: KernelEnding }
  /** The time was up, and the cell went on after the interrupt. */
  | { by: "overrun" };

/** Why the executor tried to stop a run. */
export type StopCause = "interrupt" | "timeout";

/** The outcome of a run, with the error that tells it to clients that read only the outputs. */
export interface Verdict {
  outcome: Outcome;
  error?: ErrorOutput;
  hint?: string;
}

export interface VerdictFacts {
  stopCause: StopCause | undefined;
  timeoutMs: number;
  maxTimeoutMs: number;
  truncated: boolean;
  /** Bytes; null when there is no limit. */
  memoryLimit: () => number | null;
}

const MIB = 1024 * 1024;

/** Judges how a run ended: the first cause counts, so that no time-out is reported for a death nor the reverse. */
export function verdictOn(finish: Finish, facts: VerdictFacts): Verdict {
  if (facts.stopCause === "timeout") return timedOut(facts, { stateKept: finish.by === "reply" });
  switch (finish.by) {
    case "overrun":
      return timedOut(facts, { stateKept: false });
    case "ending":
      if (facts.stopCause === "interrupt" && diedOfInterrupt(finish.ending)) return interruptedToDeath();
      return endingVerdict(finish.ending, facts);
    case "reply":
      if (finish.reply.status === "ok") return { outcome: facts.truncated ? "output_limit" : "ok" };
      return {
        outcome: facts.stopCause === "interrupt" && toldOfInterrupt(finish.reply) ? "interrupted" : "error",
      };
  }
}

/** The verdict on a run that found no kernel. */
export function kernelMissing(cause: unknown): Verdict {
  const value = cause instanceof Error ? cause.message : String(cause);
  return { outcome: "kernel_died", error: systemError("KernelError", value) };
}

/** The verdict on a run that waited for a kernel when the executor was stopped. */
export function neverBegun(): Verdict {
  return {
    outcome: "executor_lost",
    error: systemError("ExecutorLost", "The executor was stopped before this code ran"),
  };
}

/** The verdict on a run whose client went away before it began. */
export function clientLeft(): Verdict {
  return { outcome: "interrupted" };
}

/** The verdict on a run that was interrupted before it began. */
export function interruptedEarly(): Verdict {
  return {
    outcome: "interrupted",
    error: systemError("KeyboardInterrupt", "The code was interrupted before it ran"),
  };
}

/** The verdict on a run that waited for its turn when a restart on request came. */
export function overtaken(): Verdict {
  return {
    outcome: "restarted",
    error: systemError("KernelRestarted", "The kernel was restarted before this code ran"),
  };
}

/** An error after an interrupt may be the code's own. Each language has its name for the interrupt's. */
function toldOfInterrupt(reply: ExecuteReply): boolean {
  return reply.status !== "ok" && (!("ename" in reply) || /interrupt|cancel/i.test(reply.ename));
}

function timedOut(facts: VerdictFacts, { stateKept }: { stateKept: boolean }): Verdict {
  const state = stateKept
    ? "The kernel kept its variables."
    : "An interrupt did not end the code alone: the kernel was replaced, its variables are lost.";
  const maxSeconds = facts.maxTimeoutMs / 1000;
  return {
    outcome: "timed_out",
    error: systemError("TimeoutError", `Execution timed out after ${facts.timeoutMs / 1000} seconds`),
    hint: `${state} Raise the limit of one run with "timeout" in the request (up to ${maxSeconds} seconds), of all runs with EXECUTION_TIMEOUT.`,
  };
}

/** Some kernels, Deno's among them, know no interrupt and die of the signal. */
function diedOfInterrupt(ending: KernelEnding): boolean {
  return ending.cause === "died" && ending.exit.signal === "SIGINT";
}

function interruptedToDeath(): Verdict {
  return {
    outcome: "interrupted",
    error: systemError("KeyboardInterrupt", "The kernel ended on the interrupt: its variables are lost"),
  };
}

function endingVerdict(ending: KernelEnding, { memoryLimit }: VerdictFacts): Verdict {
  switch (ending.cause) {
    case "replaced":
      return {
        outcome: "restarted",
        error: systemError("KernelRestarted", "The kernel was restarted while this code ran"),
      };
    case "closed":
      return {
        outcome: "executor_lost",
        error: systemError("ExecutorLost", "The executor was stopped while this code ran"),
      };
    case "died":
      if (!ending.oomKilled) {
        const value = `The kernel died: ${describeExit(ending.exit)}`;
        return { outcome: "kernel_died", error: systemError("KernelDied", value) };
      }
      return {
        outcome: "oom_killed",
        error: systemError(
          "KernelDied",
          `The kernel was killed by the memory limit${limitInMiB(memoryLimit())}`,
        ),
      };
  }
}

function limitInMiB(bytes: number | null): string {
  return bytes === null ? "" : ` (${Math.round(bytes / MIB)} MiB)`;
}
