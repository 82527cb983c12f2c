import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { ServiceError } from "#contract/errors.ts";

/** Who may call. Without keys anybody on this machine may, but no web page of another site. */
export interface CallerRules {
  apiKeys: readonly string[];
  /** Host names by which the manager may be called, besides localhost and IP addresses. */
  allowedHosts: readonly string[];
}

/** Refuses callers that hold no key and requests that a foreign web page made a browser send. */
export function checkCaller(rules: CallerRules): MiddlewareHandler {
  const digests = rules.apiKeys.map(digest);
  const allowedHosts = rules.allowedHosts.map((name) => name.toLowerCase());
  return async (c, next) => {
    refuseForeignPage(c.req.header("sec-fetch-site"), c.req.header("origin"), c.req.header("host"));
    if (digests.length === 0) refuseForeignHost(c.req.header("host"), allowedHosts);
    else if (c.req.path !== "/health")
      requireKey(c.req.header("authorization"), c.req.header("x-api-key"), digests);
    await next();
  };
}

/** A page of another site can send simple requests without asking; browsers mark them. Source: Fetch Metadata. */
function refuseForeignPage(
  site: string | undefined,
  origin: string | undefined,
  host: string | undefined,
): void {
  const foreignSite = site !== undefined && site !== "same-origin" && site !== "none";
  const foreignOrigin = origin !== undefined && URL.parse(origin)?.host !== host;
  if (!foreignSite && !foreignOrigin) return;
  throw new ServiceError("foreign_origin", `Requests from ${origin ?? "pages of another site"} are refused`);
}

/** DNS rebinding makes a foreign page call us by its own host name, which an IP address or localhost cannot be. */
function refuseForeignHost(host: string | undefined, allowedHosts: readonly string[]): void {
  const name = URL.parse(`http://${host ?? ""}`)?.hostname.replace(/^\[|\]$/g, "") ?? "";
  const ours =
    name === "localhost" || name.endsWith(".localhost") || isIP(name) !== 0 || allowedHosts.includes(name);
  if (!ours)
    throw new ServiceError("foreign_host", `The host name ${JSON.stringify(host ?? "")} is not one of ours`);
}

function requireKey(
  authorization: string | undefined,
  apiKey: string | undefined,
  digests: readonly Buffer[],
): void {
  const given = apiKey ?? /^Bearer (.+)$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) throw new ServiceError("unauthorized", "An API key is needed");
  const candidate = digest(given);
  // Every key is compared, so that the time taken does not tell which one came close.
  const matches = digests.filter((known) => timingSafeEqual(known, candidate));
  if (matches.length === 0) throw new ServiceError("unauthorized", "The API key is not known here");
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
