/** How user code is kept apart, the same for executors of a Compose file and of the docker backend. */

/** Users of the executor image: its server's group, and the user whose rights user code has. */
export const KERNEL_USER_ID = 10_001;

/** The server starts its kernel as another user and ends it; it needs nothing else. */
export const ADDED_CAPABILITIES = ["KILL", "SETGID", "SETUID"];

export const NO_NEW_PRIVILEGES = ["no-new-privileges:true"];

/** Logs end at 30 MB for each container: user code can write to them, and they lie on this machine's disk. */
export const LOG_DRIVER = "json-file";
export const LOG_OPTIONS = { "max-size": "10m", "max-file": "3" };

/**
 * Mount options of the places that can be written, by path. What lies in a tmpfs counts as memory: a quarter each
 * leaves the kernel the other half.
 */
export function tmpfsMounts(memoryBytes: number): Record<string, string> {
  const size = Math.floor(memoryBytes / 4);
  // `exec`, because packages unpack and load native code here; who may run Python gains nothing by it.
  return {
    "/tmp": `exec,mode=1777,size=${size}`,
    "/workspace": `exec,mode=0770,uid=${KERNEL_USER_ID},gid=${KERNEL_USER_ID},size=${size}`,
  };
}
