import type { ExecutorNumber } from "#contract/ids.ts";
import type { ExecutorSpec } from "./executor.ts";

/** What starts, watches and stops executors. */
export interface Backend extends AsyncDisposable {
  readonly name: "static" | "process" | "docker";
  /** What the operator should know about this way of running, such as missing isolation. */
  readonly warnings: readonly string[];
  /**
   * Starts or finds every executor; they need not be ready yet. `onLost` is called when one is seen to have ended,
   * before it is started again at the same address.
   *
   * @throws {Error} when the fleet cannot be started at all.
   */
  start(
    onLost: (number: ExecutorNumber, reason: string) => void,
    signal: AbortSignal,
  ): Promise<ExecutorSpec[]>;
  /**
   * Ends one executor at once, whatever it does, and starts it again at the same address. Absent where somebody else
   * starts the executors.
   *
   * @throws {Error} when it cannot be ended or started
   */
  restart?(number: ExecutorNumber): Promise<void>;
}
