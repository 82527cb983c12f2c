import { format } from "node:util";
import type { Logger } from "pino";

/** Sends what libraries print by `console` to a log until it is disposed of: the terminal shows what a user is told. */
export function sendConsoleTo(log: Logger): Disposable {
  const original = globalThis.console;
  const to = (level: "debug" | "info" | "warn" | "error") => {
    return (...data: unknown[]) => log[level](format(...data));
  };
  const debug = to("debug");
  const info = to("info");
  globalThis.console = {
    ...original,
    debug,
    trace: debug,
    info,
    log: info,
    warn: to("warn"),
    error: to("error"),
  };
  return { [Symbol.dispose]: () => void (globalThis.console = original) };
}
