import { invalid, quoted, valid, type Parsed } from "./parsed.ts";

export const MIB = 1024 ** 2;

const UNITS: Readonly<Record<string, number>> = { b: 1, k: 1024, m: MIB, g: 1024 ** 3, t: 1024 ** 4 };

/** The engine refuses a container with less. */
const SMALLEST_MEMORY_BYTES = 6 * MIB;

/** Longest time limit that the executor contract allows: a week. */
const LONGEST_TIMEOUT_S = 7 * 86_400;

/**
 * Bytes of a size as Docker writes it: `256M`, `1.5g`, `512MiB`; units are powers of 1024, a number alone is bytes.
 */
export function parseMemory(text: string): Parsed<number> {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgt])?(?:i?b)?$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "b"];
  if (!match?.[1] || unit === undefined) return invalid(`${quoted(text)} is not a size such as 256M or 1G`);
  const bytes = Math.floor(Number(match[1]) * unit);
  if (bytes < SMALLEST_MEMORY_BYTES)
    return invalid(`${quoted(text)} is less than 6M${match[2] ? "" : " (a number without a unit is bytes)"}`);
  if (!Number.isSafeInteger(bytes)) return invalid(`${quoted(text)} is more than any machine has`);
  return valid(bytes);
}

/** A size in the largest unit that leaves no fraction: `256M`. */
export function formatMemory(bytes: number): string {
  for (const unit of ["G", "M", "K"]) {
    const size = UNITS[unit.toLowerCase()] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** Processor cores, fractions allowed. The engine counts in hundredths. */
export function parseCpus(text: string): Parsed<number> {
  const cpus = decimal(text);
  if (cpus === undefined || cpus < 0.01)
    return invalid(`${quoted(text)} is not a number of cores such as 0.25`);
  return valid(cpus);
}

/** Seconds that one execution may take. */
export function parseTimeout(text: string): Parsed<number> {
  const seconds = decimal(text);
  if (seconds === undefined || seconds <= 0 || seconds > LONGEST_TIMEOUT_S)
    return invalid(`${quoted(text)} is not a number of seconds from above 0 to ${LONGEST_TIMEOUT_S}`);
  return valid(seconds);
}

/** Processes and threads in one executor. Below 32 neither the server nor a kernel starts. */
export function parsePids(text: string): Parsed<number> {
  return parseInteger(text, "number of processes", 32, 4_194_304);
}

/** A TCP port. */
export function parsePort(text: string): Parsed<number> {
  return parseInteger(text, "port", 1, 65_535);
}

/** A whole number, in decimal digits. `what` names it in the message. */
export function parseInteger(text: string, what: string, min: number, max: number): Parsed<number> {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    return invalid(`${quoted(text)} is not a ${what} from ${min} to ${max}`);
  return valid(value);
}

function decimal(text: string): number | undefined {
  return /^\d{1,15}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}
