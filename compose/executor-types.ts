import { MIB } from "./parse-limits.ts";

/** A type that Dockerfile.executor can build: its image target, the image's name, its memory unless told otherwise. */
export interface BuiltInType {
  target: string;
  image: string;
  memoryBytes: number;
}

/** Memory of an executor of a type that is not built in. */
export const DEFAULT_MEMORY_BYTES = 256 * MIB;

/** Types that need no image from the user. Deno's kernel alone takes about 234 MB. */
const BUILT_IN_TYPES: ReadonlyMap<string, BuiltInType> = new Map([
  ["python", { target: "executor", image: "executor-fleet-python", memoryBytes: DEFAULT_MEMORY_BYTES }],
  ["typescript", { target: "executor-deno", image: "executor-fleet-typescript", memoryBytes: 512 * MIB }],
]);

/** The built-in type of that name, if there is one. */
export function builtInType(name: string): BuiltInType | undefined {
  return BUILT_IN_TYPES.get(name);
}

export function builtInTypeNames(): string[] {
  return [...BUILT_IN_TYPES.keys()];
}
