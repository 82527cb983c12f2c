import type { Context } from "hono";
import { z } from "zod";
import { invalidRequest, ServiceError } from "#contract/errors.ts";
import { executeRequestSchema, type OnDisconnect } from "#contract/execution.ts";
import { parseJson } from "#contract/json.ts";
import { readJson } from "./read-json.ts";

/** What a client may ask for. A word that is not known is told: an executor would pass it over. */
export const executeBodySchema = z.strictObject(executeRequestSchema.shape);

/** A valid execute request. */
export interface ExecuteBody {
  /** Its JSON text: the body as it came, or made of the code that a text body is. */
  json: string;
  onDisconnect: OnDisconnect;
}

/**
 * Reads and checks the body of an execute request.
 *
 * @throws {ServiceError} `unsupported_media_type`, `malformed_json`, `invalid_request`
 */
export async function readExecuteBody(c: Context): Promise<ExecuteBody> {
  const contentType = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  const text = await c.req.text();
  if (contentType === "text/plain" || contentType === "text/x-python") {
    return { json: JSON.stringify({ code: text }), onDisconnect: "interrupt" };
  }
  if (contentType !== "application/json") {
    const given = contentType === "" ? "No Content-Type" : `Content-Type ${contentType}`;
    throw new ServiceError("unsupported_media_type", `${given} is not supported here`);
  }
  const asItCame = parseJson(text);
  const json = asItCame === undefined ? escapeControls(text) : text;
  const parsed = executeBodySchema.safeParse(asItCame ?? readJson(json));
  if (!parsed.success) throw invalidRequest(parsed.error, "body");
  return { json, onDisconnect: parsed.data.on_disconnect };
}

/**
 * Code that is typed into a shell between the quotes of a JSON string has line ends and tabs in it, which JSON wants
 * escaped. What they mean is plain, so they are taken. Outside of string literals they are white space.
 */
function escapeControls(text: string): string {
  let escaped = "";
  let copied = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charAt(index);
    if (char === '"') inString = !inString;
    else if (inString && char === "\\") index += 1;
    else if (inString && char < " ") {
      escaped += text.slice(copied, index) + JSON.stringify(char).slice(1, -1);
      copied = index + 1;
    }
  }
  return escaped + text.slice(copied);
}
