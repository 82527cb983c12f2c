/** The first Node that has all that the command is written with. As `engines` in package.json. */
export const NEEDED_NODE_MAJOR = 24;

/** What is wrong with the Node that runs this; undefined when nothing is. */
export function problemOfNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= NEEDED_NODE_MAJOR) return undefined;
  return (
    `fleet needs Node ${NEEDED_NODE_MAJOR} or later, and this is ${version}: install a later one, ` +
    `or use "npm run fleet --", which brings its own`
  );
}
