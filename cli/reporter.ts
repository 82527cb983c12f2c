import { z } from "zod";

/** Tells a human what a command does, line by line. */
export interface Reporter {
  say: (line: string) => void;
  warn: (line: string) => void;
}

const STREAMS = ["stdout", "stderr"] as const;

/** What a command in the background tells the one that started it. */
export const reportSchema = z.union([
  z.object({ stream: z.enum(STREAMS), line: z.string() }),
  z.object({ ready: z.literal(true) }),
]);
type Report = z.infer<typeof reportSchema>;

/** Lines go to this process's own streams and, in the background, to the command that started it. */
export const reporter: Reporter = {
  say: (line) => tell("stdout", line),
  warn: (line) => tell("stderr", line),
};

function tell(stream: (typeof STREAMS)[number], line: string): void {
  process[stream].write(`${line}\n`);
  sendToStarter({ stream, line });
}

/** Tells the command that started this one that it is ready, and lets go of it. */
export function reportReady(): void {
  sendToStarter({ ready: true });
  if (process.connected) process.disconnect();
}

function sendToStarter(report: Report): void {
  // Without a callback an error of a starter that has just gone would end this process.
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
}

/** Writes to a stream of this process and resolves when it was taken, so that a flood does not pile up in memory. */
export function writeOut(stream: (typeof STREAMS)[number], data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process[stream].write(data, (error) => (error ? reject(error) : resolve()));
  });
}
