import type { ExecutionEvent } from "#contract/events.ts";

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** What a cell puts out, before it is numbered. */
export type OutputEvent = DistributiveOmit<
  Extract<ExecutionEvent, { type: "output" | "update_display" | "clear_output" }>,
  "seq"
>;

/** The part of the cap that is kept for the end of the output. */
const TAIL_SHARE = 1 / 8;
/** What an event costs beside its payload, so that a flood of empty ones is bounded too. */
const EVENT_OVERHEAD_BYTES = 100;

interface Kept {
  event: OutputEvent;
  bytes: number;
}

/**
 * Bounds the output of one execution: its head passes at once, and when that is used up the rest goes through a tail
 * of bounded size. At the end the tail follows, after a marker when something in between was left out.
 */
export class OutputCap {
  readonly #maxBytes: number;
  readonly #emit: (event: OutputEvent) => void;
  #headBytes = 0;
  #headFull = false;
  #tail: Kept[] = [];
  #tailBytes = 0;
  #leftOutBytes = 0;

  constructor(maxBytes: number, emit: (event: OutputEvent) => void) {
    this.#maxBytes = maxBytes;
    this.#emit = emit;
  }

  /** Takes the next output of the cell. */
  add(event: OutputEvent): void {
    const bytes = costOf(event);
    if (!this.#headFull) {
      const room = this.#maxBytes * (1 - TAIL_SHARE) - this.#headBytes;
      if (bytes <= room) {
        this.#headBytes += bytes;
        this.#emit(event);
        return;
      }
      this.#headFull = true;
      const [head, rest] = splitStream(event, room - EVENT_OVERHEAD_BYTES);
      if (head !== undefined) {
        this.#headBytes += costOf(head);
        this.#emit(head);
        this.#keep(rest, costOf(rest));
        return;
      }
    }
    this.#keep(event, bytes);
  }

  /** Lets out what was kept. Returns whether something was left out. */
  finish(): { truncated: boolean } {
    const truncated = this.#leftOutBytes > 0;
    if (truncated) this.#emit(marker(this.#leftOutBytes, this.#maxBytes));
    for (const { event } of this.#tail) this.#emit(event);
    this.#tail = [];
    return { truncated };
  }

  #keep(event: OutputEvent, bytes: number): void {
    if (event.type === "clear_output") {
      // Nothing of what was kept or left out would be seen after it.
      this.#tail = [];
      this.#tailBytes = 0;
      this.#leftOutBytes = 0;
    } else if (event.type === "update_display") {
      this.#tail = this.#tail.filter((kept) => {
        if (kept.event.type !== "update_display" || kept.event.display_id !== event.display_id) return true;
        this.#tailBytes -= kept.bytes;
        return false;
      });
    }
    this.#tail.push({ event, bytes });
    this.#tailBytes += bytes;
    const maxTailBytes = this.#maxBytes - this.#headBytes;
    while (this.#tailBytes > maxTailBytes) {
      const oldest = this.#tail.shift();
      if (oldest === undefined) break;
      this.#tailBytes -= oldest.bytes;
      this.#leftOutBytes += oldest.bytes;
      const rest = partWithin(oldest.event, maxTailBytes - this.#tailBytes);
      if (rest === undefined) continue;
      const restBytes = costOf(rest);
      this.#leftOutBytes -= restBytes;
      this.#tail.unshift({ event: rest, bytes: restBytes });
      this.#tailBytes += restBytes;
      break;
    }
  }
}

function marker(leftOutBytes: number, maxBytes: number): OutputEvent {
  const text = `\n[${leftOutBytes} bytes of output left out here: the limit is ${maxBytes} bytes, MAX_OUTPUT_BYTES]\n`;
  return { type: "output", output: { type: "stream", name: "stderr", text } };
}

/** What an event takes in the reply; the text of streams, which is nearly all there is, is counted without a copy. */
function costOf(event: OutputEvent): number {
  if (event.type === "output" && event.output.type === "stream") {
    return EVENT_OVERHEAD_BYTES + Buffer.byteLength(event.output.text);
  }
  return EVENT_OVERHEAD_BYTES + Buffer.byteLength(JSON.stringify(event));
}

/** Splits the text of a stream output after at most `bytes`; anything else cannot be split. */
function splitStream(event: OutputEvent, bytes: number): [OutputEvent | undefined, OutputEvent] {
  if (event.type !== "output" || event.output.type !== "stream" || bytes <= 0) return [undefined, event];
  const { name, text } = event.output;
  const encoded = Buffer.from(text);
  const end = characterStart(encoded, Math.floor(bytes));
  if (end === 0) return [undefined, event];
  return [
    { type: "output", output: { type: "stream", name, text: encoded.toString("utf8", 0, end) } },
    { type: "output", output: { type: "stream", name, text: encoded.toString("utf8", end) } },
  ];
}

/** A part of an output that costs at most `bytes`. Escapes of JSON may make more of a text than it has bytes. */
function partWithin(event: OutputEvent, bytes: number): OutputEvent | undefined {
  for (const share of [1, 1 / 2, 1 / 8]) {
    const part = partOf(event, (bytes - EVENT_OVERHEAD_BYTES) * share);
    if (part === undefined || costOf(part) <= bytes) return part;
  }
  return undefined;
}

/** A part of an output that takes at most `bytes`: the end of a stream, the beginning of anything else. */
function partOf(event: OutputEvent, bytes: number): OutputEvent | undefined {
  if (event.type !== "output" || bytes <= 0) return undefined;
  const { output } = event;
  switch (output.type) {
    case "stream": {
      const encoded = Buffer.from(output.text);
      // Three bytes on, because the start of a character may lie that far back.
      const start = characterStart(encoded, Math.max(0, encoded.length - Math.floor(bytes)) + 3);
      return { type: "output", output: { ...output, text: encoded.toString("utf8", start) } };
    }
    case "result":
    case "display": {
      const text = output.data["text/plain"];
      if (typeof text !== "string") return undefined;
      const data = { "text/plain": beginningOf(text, bytes) };
      return { type: "output", output: { type: output.type, data } };
    }
    case "error": {
      const name = beginningOf(output.name, bytes / 3);
      const value = beginningOf(output.value, bytes / 3);
      const last = output.traceback.at(-1);
      const traceback = last === undefined ? [] : [beginningOf(last, bytes / 3)];
      return { type: "output", output: { type: "error", name, value, traceback } };
    }
  }
}

/** Names and keys of a cut output have room here. */
const NAMES_BYTES = 100;

function beginningOf(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  return encoded.toString("utf8", 0, characterStart(encoded, Math.floor(bytes) - NAMES_BYTES));
}

/** The nearest position at or before `position` where a UTF-8 character starts. */
function characterStart(encoded: Buffer, position: number): number {
  let start = Math.max(0, Math.min(position, encoded.length));
  while (start > 0 && start < encoded.length && ((encoded[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  return start;
}
