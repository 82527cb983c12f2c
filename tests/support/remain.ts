/**
 * What a tenant can leave behind, kind by kind. `leave` is the cell by which tenant A does so. `seen` is the body of a
 * Python function that tells whether it is there; it must be true for A, or the test would prove nothing, and false for B.
 *
 * Not among them: files in the submission directory, which are handed in and meant to stay.
 */
export interface Remain {
  kind: string;
  leave: string;
  seen: string;
  /** Executors that are processes have the user's rights, and the rest of that user's belongings is not ours to clear. */
  staysInProcesses?: true;
}

/** Where tenants leave things. */
export interface RemainsPlace {
  /** A folder that both tenants can write to. */
  scratch: string;
  /** TCP ports on loopback that nobody else uses. */
  ports: readonly [number, number];
}
