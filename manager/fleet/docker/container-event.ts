import { z } from "zod";

/** Something that happened to a container. */
export interface ContainerEvent {
  containerId: string;
  labels: Record<string, string>;
  /** By the engine's clock, in milliseconds since 1970. */
  at: number;
  /** `killed`: somebody had the engine send a signal. `removed`: it is gone for good. */
  what: "started" | "died" | "removed" | "out_of_memory" | "killed";
  /** Of one that died. */
  exitCode?: number;
}

const WHAT = {
  start: "started",
  die: "died",
  destroy: "removed",
  oom: "out_of_memory",
  kill: "killed",
} as const satisfies Record<string, ContainerEvent["what"]>;

const eventSchema = z.object({
  Action: z.enum(["start", "die", "destroy", "oom", "kill"]),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()) }),
  timeNano: z.number(),
});

/** Reads the engine's stream of events, a JSON document a line. */
export async function* containerEvents(stream: NodeJS.ReadableStream): AsyncGenerator<ContainerEvent> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of stream) {
    pending += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield parseEvent(line);
  }
}

function parseEvent(line: string): ContainerEvent {
  const { Action, Actor, timeNano } = eventSchema.parse(JSON.parse(line));
  const { exitCode } = Actor.Attributes;
  return {
    containerId: Actor.ID,
    labels: Actor.Attributes,
    at: timeNano / 1e6,
    what: WHAT[Action],
    ...(exitCode === undefined ? {} : { exitCode: Number(exitCode) }),
  };
}
