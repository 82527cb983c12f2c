import { stripVTControlCharacters } from "node:util";
import type { KernelMessage } from "@jupyterlab/services";
import { mimeBundleSchema, type ErrorOutput, type MimeBundle, type Output } from "#contract/outputs.ts";

/** What an iopub message means for the outputs of its cell. */
export type KernelOutput =
  | { type: "output"; output: Output }
  | { type: "update_display"; display_id: string; data: MimeBundle; metadata?: MimeBundle }
  | { type: "clear_output"; wait: boolean };

/**
 * Translates an iopub message; undefined for one that puts nothing out.
 *
 * @throws {z.ZodError} when the message's data is not JSON of the expected shape.
 */
export function kernelOutputOf(message: KernelMessage.IIOPubMessage): KernelOutput | undefined {
  if (isType(message, "stream")) {
    const { name, text } = message.content;
    return text === "" ? undefined : { type: "output", output: { type: "stream", name, text } };
  }
  if (isType(message, "execute_result")) {
    const data = mimeBundleSchema.parse(message.content.data);
    const output: Output = {
      type: "result",
      data: { "text/plain": "", ...data },
      ...metadataOf(message.content),
    };
    return { type: "output", output };
  }
  if (isType(message, "display_data")) {
    const id = message.content.transient?.display_id;
    const output: Output = {
      type: "display",
      data: mimeBundleSchema.parse(message.content.data),
      ...metadataOf(message.content),
      ...(id === undefined ? {} : { display_id: id }),
    };
    return { type: "output", output };
  }
  if (isType(message, "update_display_data")) {
    const { content } = message;
    const data = mimeBundleSchema.parse(content.data);
    return { type: "update_display", display_id: content.transient.display_id, data, ...metadataOf(content) };
  }
  if (isType(message, "error")) return { type: "output", output: errorOutput(message.content) };
  if (isType(message, "clear_output")) return { type: "clear_output", wait: message.content.wait };
  return undefined;
}

/** What a reply wants shown in a pager, a help text say, as outputs. Source: Jupyter messaging protocol, "Payloads". */
export function pagerOutputs(
  reply: KernelMessage.IExecuteReplyMsg["content"],
): Extract<KernelOutput, { type: "output" }>[] {
  const payloads = "payload" in reply && Array.isArray(reply.payload) ? reply.payload : [];
  return payloads
    .filter((payload) => payload["source"] === "page")
    .map((payload) => ({
      type: "output",
      output: { type: "display", data: mimeBundleSchema.parse(payload["data"]) },
    }));
}

const RULE = /^-+$/;

/** An error as an output: its traceback without colours and without IPython's line of dashes. */
export function errorOutput(content: { ename: string; evalue: string; traceback: string[] }): ErrorOutput {
  const traceback = content.traceback.map((entry) => stripVTControlCharacters(entry));
  if (RULE.test(traceback[0] ?? "")) traceback.shift();
  return { type: "error", name: content.ename, value: content.evalue, traceback };
}

function metadataOf(content: { metadata: unknown }): { metadata?: MimeBundle } {
  const metadata = mimeBundleSchema.parse(content.metadata ?? {});
  return Object.keys(metadata).length === 0 ? {} : { metadata };
}

interface IOPubTypes {
  stream: KernelMessage.IStreamMsg;
  execute_result: KernelMessage.IExecuteResultMsg;
  display_data: KernelMessage.IDisplayDataMsg;
  update_display_data: KernelMessage.IUpdateDisplayDataMsg;
  error: KernelMessage.IErrorMsg;
  clear_output: KernelMessage.IClearOutputMsg;
}

/** The kernel client has validated the content by the type of the message before it hands it on. */
function isType<T extends keyof IOPubTypes>(
  message: KernelMessage.IMessage,
  type: T,
): message is KernelMessage.IMessage & IOPubTypes[T] {
  return message.header.msg_type === type;
}
