import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Tells of an `Authorization` header whether it carries the token as `Bearer TOKEN`; the comparison takes the same time
 * whatever was sent.
 */
export function bearerCheck(token: string): (authorization: string | undefined) => boolean {
  const expected = digest(token);
  return (authorization) => {
    const sent = /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
    return sent !== undefined && timingSafeEqual(digest(sent.trim()), expected);
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
