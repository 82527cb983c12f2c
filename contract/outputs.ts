import { z } from "zod";

/**
 * Jupyter mimebundle: MIME type to content. Text is a string, binary is base64 text, JSON types any JSON value.
 * Source: Jupyter messaging protocol, "display_data".
 */
export const mimeBundleSchema = z.record(z.string(), z.unknown());
export type MimeBundle = z.infer<typeof mimeBundleSchema>;

const metadataSchema = z.record(z.string(), z.unknown());

const streamOutputSchema = z.object({
  type: z.literal("stream"),
  name: z.enum(["stdout", "stderr"]),
  text: z.string(),
});
const resultOutputSchema = z.object({
  type: z.literal("result"),
  data: mimeBundleSchema,
  metadata: metadataSchema.optional(),
});
const displayOutputSchema = z.object({
  type: z.literal("display"),
  data: mimeBundleSchema,
  metadata: metadataSchema.optional(),
  display_id: z.string().optional(),
});
const errorOutputSchema = z.object({
  type: z.literal("error"),
  name: z.string(),
  value: z.string(),
  traceback: z.array(z.string()),
});

/** What a run printed, returned, displayed or raised. Old clients know only `stream`, `result` and `error`. */
export const outputSchema = z.discriminatedUnion("type", [
  streamOutputSchema,
  resultOutputSchema,
  displayOutputSchema,
  errorOutputSchema,
]);
export type Output = z.infer<typeof outputSchema>;
export type ErrorOutput = z.infer<typeof errorOutputSchema>;

/** An error output that has no traceback because it did not come from the user's code. */
export function systemError(name: string, value: string): ErrorOutput {
  return { type: "error", name, value, traceback: [] };
}
