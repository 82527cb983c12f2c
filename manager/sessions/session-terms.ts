import { createHash, randomBytes } from "node:crypto";
import { ServiceError } from "#contract/errors.ts";
import type { SessionEnv } from "#contract/executor-api.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";

/**
 * Names of a session's environment variables, and a salted hash by which two environments are compared: values may be
 * secrets and are kept nowhere.
 */
export interface EnvTerms {
  names: string[];
  /** Salt and hash with a colon in between; empty for no variables. */
  hash: string;
}

/** What was agreed on with who opened a session. Times in milliseconds; `null` is never. */
export interface SessionTerms {
  name: SessionName | undefined;
  detached: boolean;
  idleTimeoutMs: number | null;
  lifetimeMs: number | null;
  env: EnvTerms;
}

/** The terms of a new session: what its spec leaves out is the manager's to choose. */
export function termsOf(
  spec: SessionSpec,
  { name, idleTimeoutMs }: { name?: SessionName | undefined; idleTimeoutMs: number },
): SessionTerms {
  const detached = spec.detached ?? false;
  return {
    name,
    detached,
    // Nobody may be there to keep a detached session in use.
    idleTimeoutMs:
      spec.idle_timeout === undefined ? (detached ? null : idleTimeoutMs) : toMs(spec.idle_timeout),
    lifetimeMs: toMs(spec.lifetime ?? null),
    env: envTermsOf(spec.env ?? {}),
  };
}

/** Timers take whole milliseconds. `null`, which is never, stays `null`. */
export function toMs<T extends number | null>(seconds: T): T extends number ? number : null;
export function toMs(seconds: number | null): number | null {
  return seconds === null ? null : Math.round(seconds * 1000);
}

export function envTermsOf(env: SessionEnv, salt = randomBytes(16).toString("hex")): EnvTerms {
  const entries = Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return { names: [], hash: "" };
  const hash = createHash("sha256").update(salt).update(JSON.stringify(entries)).digest("hex");
  return { names: entries.map(([name]) => name), hash: `${salt}:${hash}` };
}

function isEnv({ hash }: EnvTerms, env: SessionEnv): boolean {
  return envTermsOf(env, hash.split(":")[0]).hash === hash;
}

/**
 * Checks that a session of that name is what the spec asks for. What the spec leaves out is not asked for.
 *
 * @throws {ServiceError} `session_conflict` that names every difference
 */
export function assertFits(
  name: SessionName,
  { terms: existing, type }: { terms: SessionTerms; type: string | undefined },
  spec: SessionSpec,
): void {
  const asked = termsOf(spec, { idleTimeoutMs: 0 });
  const differences = [
    ...(spec.type === undefined || type === undefined || spec.type === type
      ? []
      : [`type is ${type}, not ${spec.type}`]),
    ...(spec.idle_timeout === undefined || asked.idleTimeoutMs === existing.idleTimeoutMs
      ? []
      : [`idle_timeout is ${inSeconds(existing.idleTimeoutMs)}, not ${inSeconds(asked.idleTimeoutMs)}`]),
    ...(spec.lifetime === undefined || asked.lifetimeMs === existing.lifetimeMs
      ? []
      : [`lifetime is ${inSeconds(existing.lifetimeMs)}, not ${inSeconds(asked.lifetimeMs)}`]),
    ...(spec.detached === undefined || asked.detached === existing.detached
      ? []
      : [`it is ${existing.detached ? "" : "not "}detached`]),
    ...(spec.env === undefined || isEnv(existing.env, spec.env) ? [] : ["env has other variables or values"]),
  ];
  if (differences.length === 0) return;
  const detail = `Session ${formatSessionName(name)} exists with another spec: ${differences.join("; ")}`;
  throw new ServiceError("session_conflict", detail);
}

function inSeconds(ms: number | null): string {
  return ms === null ? "never" : `${ms / 1000} s`;
}
