import { builtInType, builtInTypeNames } from "./executor-types.ts";
import { invalid, quoted, valid, type Parsed } from "./parsed.ts";

/** So many executors of one type; `image` when the user mapped the type to an image of their own. */
export interface TypeCount {
  type: string;
  count: number;
  image?: string | undefined;
}

/** Executors are numbered with three digits. */
export const MAX_EXECUTORS = 1000;

export const TYPE_NAME = /^[A-Za-z][A-Za-z0-9_.-]*$/;

/** Source: the reference grammar of distribution/reference, without its limits on length. */
export const IMAGE_REFERENCE =
  /^(?:[A-Za-z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$/;

/**
 * Reads a list of types, `python:2,typescript:1`. A repeated type adds up; an entry `name=image:tag` says from which
 * image the executors of a type are made. Order is kept: it numbers the executors.
 */
export function parseTypes(text: string): Parsed<TypeCount[]> {
  const counts = new Map<string, number>();
  const images = new Map<string, string>();
  const problems: string[] = [];
  for (const entry of text.split(",").map((part) => part.trim())) {
    const problem = entry.includes("=") ? readImage(entry, images) : readCount(entry, counts);
    if (problem !== undefined) problems.push(problem);
  }
  for (const type of images.keys()) {
    // A count that could not be read has its own message already.
    if (!counts.has(type) && problems.length === 0)
      problems.push(`type ${quoted(type)} has an image but no count: add ${type}:1`);
  }
  if (problems.length > 0) return invalid(...problems);
  return valid([...counts].map(([type, count]) => ({ type, count, image: images.get(type) })));
}

function readCount(entry: string, counts: Map<string, number>): string | undefined {
  const [type = "", count = "", ...rest] = entry.split(":");
  if (rest.length > 0 || !TYPE_NAME.test(type) || !/^[1-9]\d{0,5}$/.test(count))
    return `${quoted(entry)} is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)`;
  counts.set(type, (counts.get(type) ?? 0) + Number(count));
  return undefined;
}

function readImage(entry: string, images: Map<string, string>): string | undefined {
  const type = entry.slice(0, entry.indexOf("="));
  const image = entry.slice(type.length + 1);
  if (!TYPE_NAME.test(type)) return `${quoted(type)} in ${quoted(entry)} is not a type name`;
  if (!IMAGE_REFERENCE.test(image)) return `${quoted(image)} in ${quoted(entry)} is not an image name`;
  const known = images.get(type);
  if (known !== undefined && known !== image)
    return `type ${quoted(type)} is mapped to two images, ${known} and ${image}`;
  images.set(type, image);
  return undefined;
}

/** One problem for every type that is neither built in nor mapped to an image. */
export function unknownTypeProblems(types: readonly TypeCount[]): string[] {
  return types
    .filter(({ type, image }) => image === undefined && !builtInType(type))
    .map(
      ({ type }) =>
        `unknown type ${quoted(type)}: built in are ${builtInTypeNames().join(" and ")}; name its image with ${type}=IMAGE`,
    );
}

export function totalCount(types: readonly TypeCount[]): number {
  return types.reduce((sum, { count }) => sum + count, 0);
}
