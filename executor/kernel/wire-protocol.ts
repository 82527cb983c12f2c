import { createHmac, timingSafeEqual } from "node:crypto";
import type { KernelMessage } from "@jupyterlab/services";

/**
 * Jupyter messages as ZMQ frames: routing prefix, delimiter, signature, header, parent header, metadata, content,
 * buffers. Source: Jupyter messaging protocol, "The wire protocol".
 */
const DELIMITER = Buffer.from("<IDS|MSG>");
const SIGNED_FRAMES = 4;

/** Frames that are not a message of the wire protocol, or one that was not signed with the kernel's key. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Encodes a message for the kernel, signed with the key of the connection file (HMAC-SHA256 in hex). */
export function encodeMessage(message: KernelMessage.IMessage, key: string): Buffer[] {
  const parts = [message.header, message.parent_header, message.metadata, message.content].map((part) =>
    Buffer.from(JSON.stringify(part)),
  );
  return [DELIMITER, Buffer.from(sign(parts, key)), ...parts, ...(message.buffers ?? []).map(toBuffer)];
}

/**
 * Decodes what came in on a channel.
 *
 * @throws {WireError} when the frames are malformed or wrongly signed.
 */
export function decodeMessage(
  frames: readonly Buffer[],
  key: string,
  channel: KernelMessage.Channel,
): KernelMessage.IMessage {
  const start = frames.findIndex((frame) => frame.equals(DELIMITER));
  const signature = frames[start + 1];
  const parts = frames.slice(start + 2, start + 2 + SIGNED_FRAMES);
  if (start < 0 || signature === undefined || parts.length < SIGNED_FRAMES) {
    throw new WireError(`A message on ${channel} has too few frames: ${frames.length}`);
  }
  const expected = Buffer.from(sign(parts, key));
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
    throw new WireError(`A message on ${channel} has a wrong signature`);
  }
  const [header, parentHeader, metadata, content] = parts.map((part) => parseObject(part, channel));
  const message: unknown = {
    channel,
    header,
    parent_header: parentHeader,
    metadata,
    content,
    buffers: frames
      .slice(start + 2 + SIGNED_FRAMES)
      .map((frame) => new DataView(frame.buffer, frame.byteOffset, frame.byteLength)),
  };
  if (!isKernelMessage(message)) throw new WireError(`A message on ${channel} has a malformed header`);
  return message;
}

function sign(parts: readonly Buffer[], key: string): string {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

function parseObject(frame: Buffer, channel: string): object {
  let value: unknown;
  try {
    value = JSON.parse(frame.toString("utf8"));
  } catch (error) {
    throw new WireError(`A message on ${channel} is not JSON`, { cause: error });
  }
  if (!isObject(value)) throw new WireError(`A message on ${channel} has a part that is not an object`);
  return value;
}

const HEADER_FIELDS = ["msg_id", "msg_type", "session", "username", "version"];

/**
 * Whether a decoded message has the shape that the kernel client relies on; the client itself checks the content of
 * the types that it knows.
 */
function isKernelMessage(value: unknown): value is KernelMessage.IMessage {
  if (!isObject(value) || !("header" in value) || !isObject(value.header)) return false;
  const header = new Map(Object.entries(value.header));
  return HEADER_FIELDS.every((field) => typeof header.get(field) === "string");
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function toBuffer(data: ArrayBuffer | ArrayBufferView): Buffer {
  return data instanceof ArrayBuffer
    ? Buffer.from(data)
    : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
