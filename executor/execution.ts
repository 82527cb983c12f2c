import type { Logger } from "pino";
import type { ExecutionEvent } from "#contract/events.ts";
import type { ExecuteRequest, ExecutionEnd } from "#contract/execution.ts";
import { errorOutput, kernelOutputOf, pagerOutputs } from "#executor/kernel/kernel-outputs.ts";
import type { Kernel } from "#executor/kernel/kernel.ts";
import type { LiveKernel } from "#executor/kernel/live-kernel.ts";
import type { MemoryGroup } from "#executor/kernel/memory.ts";
import { OutputCap, type OutputEvent } from "./output-cap.ts";
import {
  clientLeft,
  interruptedEarly,
  kernelMissing,
  neverBegun,
  overtaken,
  verdictOn,
  type Finish,
  type StopCause,
  type Verdict,
} from "./verdict.ts";

export interface ExecutionLimits {
  defaultTimeoutMs: number;
  maxTimeoutMs: number;
  maxOutputBytes: number;
}

export interface ExecutionContext {
  kernel: Kernel;
  memory: MemoryGroup;
  limits: ExecutionLimits;
  log: Logger;
}

/** How long a cell may take to react to the interrupt that ends its time. */
const INTERRUPT_GRACE_MS = 1500;

/** One run of code, from its turn on the kernel to its outcome. */
export class Execution {
  readonly #request: ExecuteRequest;
  readonly #context: ExecutionContext;
  readonly #emit: (event: ExecutionEvent) => void;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  /** The tenant whose code this is; after a restart on request the kernel is another's. */
  readonly #tenancy: number;
  /** Ends the wait for the kernel. */
  readonly #giveUp = new AbortController();
  #nextSeq = 0;
  #live: LiveKernel | undefined;
  #stopCause: StopCause | undefined;

  /**
   * @param emit gets every event, numbered; the last one is the outcome.
   * @param signal aborts when nobody wants the result any more.
   */
  constructor(
    request: ExecuteRequest,
    context: ExecutionContext,
    { emit, signal }: { emit: (event: ExecutionEvent) => void; signal: AbortSignal },
  ) {
    this.#request = request;
    this.#context = context;
    this.#emit = emit;
    this.#signal = signal;
    this.#tenancy = context.kernel.tenancy;
    const { defaultTimeoutMs, maxTimeoutMs } = context.limits;
    const wantedMs = request.timeout === undefined ? defaultTimeoutMs : request.timeout * 1000;
    this.#timeoutMs = Math.min(wantedMs, maxTimeoutMs);
  }

  /** Runs the code. Resolves when the outcome is out and the kernel is idle again, or a fresh one on its way. */
  async run(): Promise<void> {
    const { kernel, limits, memory } = this.#context;
    let live: LiveKernel;
    try {
      live = await kernel.whenReady({ signal: AbortSignal.any([this.#signal, this.#giveUp.signal]) });
    } catch (error) {
      if (this.#signal.aborted) return this.#endUnbegun(clientLeft());
      if (kernel.closed) return this.#endUnbegun(neverBegun());
      return this.#endUnbegun(this.#stopCause === "interrupt" ? interruptedEarly() : kernelMissing(error));
    }
    if (kernel.tenancy !== this.#tenancy) return this.#endUnbegun(overtaken());
    const begun = performance.now();
    const stateLost = kernel.takeStateLost();
    this.#emitStarted(live.id);
    const cap = new OutputCap(limits.maxOutputBytes, (event) => this.#emitOutput(event));
    const finish = await this.#runOn(live, cap);
    if (finish.by === "overrun") kernel.replace(live);
    const { truncated } = cap.finish();
    const verdict = verdictOn(finish, {
      stopCause: this.#stopCause,
      timeoutMs: this.#timeoutMs,
      maxTimeoutMs: limits.maxTimeoutMs,
      truncated,
      memoryLimit: () => memory.read().limit,
    });
    this.#emitEnd(verdict, {
      execution_count: finish.by === "reply" && !this.#request.silent ? finish.reply.execution_count : null,
      duration_ms: Math.round((performance.now() - begun) * 1000) / 1000,
      ...(truncated ? { truncated } : {}),
      kernel: { id: live.id, ...(stateLost ? { restarted: true } : {}) },
    });
  }

  /** Interrupts the run; the kernel keeps its state. */
  interrupt(): void {
    this.#stopCause ??= "interrupt";
    if (this.#live === undefined) this.#giveUp.abort();
    else this.#live.interrupt();
  }

  #endUnbegun(verdict: Verdict): void {
    const id = this.#context.kernel.id ?? "";
    this.#emitStarted(id);
    this.#emitEnd(verdict, { execution_count: null, duration_ms: 0, kernel: { id } });
  }

  /** Runs the cell on a kernel until the first of: its end, the kernel's end, the end of the patience with it. */
  async #runOn(live: LiveKernel, cap: OutputCap): Promise<Finish> {
    const overrun = Promise.withResolvers<Finish>();
    let graceTimer: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      // Also after an interrupt: one that did not end the run is not the cause of its end.
      this.#stopCause = "timeout";
      live.interrupt();
      graceTimer = setTimeout(() => overrun.resolve({ by: "overrun" }), INTERRUPT_GRACE_MS);
    }, this.#timeoutMs);
    const clientGone = () => this.interrupt();
    this.#signal.addEventListener("abort", clientGone, { once: true });
    this.#context.kernel.occupy(live);
    this.#live = live;
    try {
      return await Promise.race([this.#execute(live, cap), overrun.promise]);
    } finally {
      this.#live = undefined;
      clearTimeout(timer);
      clearTimeout(graceTimer);
      this.#signal.removeEventListener("abort", clientGone);
      this.#context.kernel.release(live);
    }
  }

  async #execute(live: LiveKernel, cap: OutputCap): Promise<Finish> {
    const { code, silent, store_history } = this.#request;
    let clearBeforeNext = false;
    let errorSeen = false;
    try {
      const reply = await live.execute({ code, silent, store_history }, (message) => {
        const output = kernelOutputOf(message);
        if (output === undefined) return;
        if (output.type === "clear_output") {
          clearBeforeNext = output.wait;
          if (!output.wait) cap.add({ type: "clear_output" });
          return;
        }
        if (clearBeforeNext) cap.add({ type: "clear_output" });
        clearBeforeNext = false;
        errorSeen ||= output.type === "output" && output.output.type === "error";
        cap.add(output);
      });
      for (const output of pagerOutputs(reply)) cap.add(output);
      if (reply.status === "error" && !errorSeen) cap.add({ type: "output", output: errorOutput(reply) });
      return { by: "reply", reply };
    } catch (error) {
      this.#context.log.debug({ err: error }, "the kernel ended during an execution");
      return { by: "ending", ending: await live.ended };
    }
  }

  #emitStarted(kernelId: string): void {
    this.#emit({ seq: this.#nextSeq++, type: "started", kernel_id: kernelId });
  }

  #emitOutput(event: OutputEvent): void {
    this.#emit({ seq: this.#nextSeq++, ...event });
  }

  #emitEnd({ outcome, error, hint }: Verdict, facts: Omit<ExecutionEnd, "outcome">): void {
    if (error !== undefined) this.#emitOutput({ type: "output", output: error });
    this.#emit({
      seq: this.#nextSeq++,
      type: "outcome",
      outcome,
      ...facts,
      ...(outcome === "timed_out" ? { timed_out: true } : {}),
      ...(hint === undefined ? {} : { hint }),
    });
  }
}
