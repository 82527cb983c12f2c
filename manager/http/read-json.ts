import { ServiceError } from "#contract/errors.ts";

/** The JSON value of a request's body. @throws {ServiceError} `malformed_json` */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ServiceError("malformed_json", [{ loc: ["body"], msg: `not JSON: ${message}` }], {
      cause: error,
    });
  }
}
