import { setImmediate } from "node:timers/promises";
import type { KernelMessage } from "@jupyterlab/services";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import { ServerConnection } from "@jupyterlab/services/lib/serverconnection.js";
import { Dealer, Subscriber } from "zeromq";
import type { Logger } from "pino";
import { endpoint, type ConnectionInfo } from "./connection-file.ts";
import { decodeMessage, encodeMessage } from "./wire-protocol.ts";

/** How long the kernel may take to answer one nudge before the next goes out. */
const NUDGE_INTERVAL_MS = 200;
/** A kernel that is not there yet is tried again at this pace; ZMQ's own default of 100 ms would show at every start. */
const RECONNECT_INTERVAL_MS = 10;
/** Messages that wait in this process for their turn: few, because one may be large. */
const RECEIVE_HIGH_WATER_MARK = 64;
/** Work units after which a flooding kernel lets other tasks of the event loop run: one a message, one per 8 KiB. */
const UNITS_PER_TURN = 32;
const BYTES_PER_UNIT = 8192;

/**
 * The three channels of one kernel over ZMQ, and a WebSocket-shaped end in this process for the kernel client of
 * `@jupyterlab/services`. Messages cross as objects: the serializer of `settings` is the identity.
 */
export class ZmqTransport {
  /** Settings that make a `KernelConnection` use this transport. */
  readonly settings: ServerConnection.ISettings;
  readonly #info: ConnectionInfo;
  readonly #log: Logger;
  readonly #shell: Dealer;
  readonly #control: Dealer;
  readonly #iopub: Subscriber;
  #shellSent: Promise<void> = Promise.resolve();
  #controlSent: Promise<void> = Promise.resolve();
  #receive: (message: KernelMessage.IMessage) => void = () => {};

  constructor(info: ConnectionInfo, options: { maxMessageBytes: number; log: Logger }) {
    this.#info = info;
    this.#log = options.log;
    const common = {
      linger: 0,
      reconnectInterval: RECONNECT_INTERVAL_MS,
      maxMessageSize: options.maxMessageBytes,
    };
    this.#shell = new Dealer(common);
    this.#control = new Dealer(common);
    this.#iopub = new Subscriber({ ...common, receiveHighWaterMark: RECEIVE_HIGH_WATER_MARK });
    this.settings = this.#makeSettings();
  }

  /**
   * Connects, then repeats a `kernel_info_request` until a reply and a message on iopub have been seen: an iopub
   * subscription that arrives late misses messages, and nothing else tells when it has arrived.
   *
   * @throws the reason of `signal` when it aborts first.
   */
  async connect({ signal }: { signal: AbortSignal }): Promise<void> {
    this.#shell.connect(endpoint(this.#info, "shell"));
    this.#control.connect(endpoint(this.#info, "control"));
    this.#iopub.connect(endpoint(this.#info, "iopub"));
    this.#iopub.subscribe();
    const seen = new Set<KernelMessage.Channel>();
    const answered = Promise.withResolvers<void>();
    this.#receive = (message) => {
      seen.add(message.channel);
      if (seen.has("shell") && seen.has("iopub")) answered.resolve();
    };
    void this.#pump(this.#shell, "shell");
    void this.#pump(this.#control, "control");
    void this.#pump(this.#iopub, "iopub");
    const nudge = () => this.#send(kernelInfoRequest());
    const abort = () => answered.reject(signal.reason);
    const timer = setInterval(nudge, NUDGE_INTERVAL_MS);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      nudge();
      await answered.promise;
    } finally {
      clearInterval(timer);
      signal.removeEventListener("abort", abort);
      this.#receive = () => {};
    }
  }

  /** Closes the sockets. Messages that were not sent yet are dropped. */
  close(): void {
    this.#receive = () => {};
    for (const socket of [this.#shell, this.#control, this.#iopub]) socket.close();
  }

  #send(message: KernelMessage.IMessage): void {
    const frames = encodeMessage(message, this.#info.key);
    // A socket of this library takes one send at a time.
    if (message.channel === "control") {
      this.#controlSent = this.#controlSent.then(() => this.#write(this.#control, frames));
    } else {
      this.#shellSent = this.#shellSent.then(() => this.#write(this.#shell, frames));
    }
  }

  async #write(socket: Dealer, frames: Buffer[]): Promise<void> {
    if (socket.closed) return;
    try {
      await socket.send(frames);
    } catch (error) {
      if (!socket.closed) this.#log.warn({ err: error }, "a message did not reach the kernel");
    }
  }

  async #pump(socket: Dealer | Subscriber, channel: KernelMessage.Channel): Promise<void> {
    let units = 0;
    try {
      for await (const frames of socket) {
        try {
          this.#receive(decodeMessage(frames, this.#info.key, channel));
        } catch (error) {
          this.#log.debug({ err: error, channel }, "dropped a message of the kernel");
        }
        units += 1;
        for (const frame of frames) units += frame.length / BYTES_PER_UNIT;
        if (units < UNITS_PER_TURN) continue;
        units = 0;
        await setImmediate();
      }
    } catch (error) {
      if (!socket.closed) this.#log.error({ err: error, channel }, "the kernel's channel broke");
    }
  }

  #makeSettings(): ServerConnection.ISettings {
    let outgoing: KernelMessage.IMessage | undefined;
    let incoming: KernelMessage.IMessage | undefined;
    const send = () => {
      if (outgoing !== undefined) this.#send(outgoing);
      outgoing = undefined;
    };
    const open = (deliver: () => void) => {
      this.#receive = (message) => {
        incoming = message;
        deliver();
      };
    };
    return ServerConnection.makeSettings({
      baseUrl: "http://kernel.invalid/",
      wsUrl: "ws://kernel.invalid/",
      appendToken: false,
      WebSocket: class extends InProcessWebSocket {
        constructor(url: string | URL) {
          super(url, { send, open });
        }
      },
      serializer: {
        serialize(message) {
          outgoing = message;
          return "";
        },
        deserialize() {
          if (incoming === undefined) throw new Error("No message to read");
          return incoming;
        },
      },
    });
  }
}

function kernelInfoRequest(): KernelMessage.IMessage {
  return createMessage<KernelMessage.IInfoRequestMsg>({
    msgType: "kernel_info_request",
    channel: "shell",
    session: "nudge",
    content: {},
  });
}

interface TransportEnd {
  /** Sends the message that was serialized last. */
  send: () => void;
  /** Starts the delivery: `deliver` is called once for each message to deserialize. */
  open: (deliver: () => void) => void;
}

/** Looks like a WebSocket to the kernel client; opens at once and never closes by itself. */
class InProcessWebSocket extends EventTarget implements WebSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly bufferedAmount = 0;
  readonly extensions = "";
  readonly protocol = "";
  readonly url: string;
  binaryType: WebSocket["binaryType"] = "arraybuffer";
  onopen: WebSocket["onopen"] = null;
  onmessage: WebSocket["onmessage"] = null;
  onclose: WebSocket["onclose"] = null;
  onerror: WebSocket["onerror"] = null;
  readyState: number = InProcessWebSocket.CONNECTING;
  readonly #end: TransportEnd;

  constructor(url: string | URL, end: TransportEnd) {
    super();
    this.url = String(url);
    this.#end = end;
    queueMicrotask(() => this.#open());
  }

  send(): void {
    this.#end.send();
  }

  close(): void {
    this.readyState = InProcessWebSocket.CLOSED;
  }

  #open(): void {
    if (this.readyState !== InProcessWebSocket.CONNECTING) return;
    this.readyState = InProcessWebSocket.OPEN;
    const event = new MessageEvent("message", { data: "" });
    this.#end.open(() => this.onmessage?.(event));
    this.onopen?.(new Event("open"));
  }
}
