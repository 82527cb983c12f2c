import { describe, expect, test } from "vitest";
import { ConfigError, readConfig } from "#executor/config.ts";

describe("the executor's settings", () => {
  test("an empty environment gives the reference's defaults", () => {
    expect(readConfig({})).toMatchObject({
      listen: { port: 8432, host: "127.0.0.1" },
      token: undefined,
      workspaceFolder: "/code",
      defaultTimeoutMs: 3_000,
      maxTimeoutMs: 3_600_000,
      maxOutputBytes: 10_485_760,
      kernelName: "python3",
    });
  });

  test("a variable that is set to nothing counts as not set", () => {
    expect(readConfig({ PORT: "", EXECUTOR_TOKEN: "" })).toMatchObject({
      listen: { port: 8432 },
      token: undefined,
    });
  });

  test("a socket takes the place of the port, and a port given besides is listened on, too", () => {
    expect(readConfig({ EXECUTOR_SOCKET: "/run/s" })).toMatchObject({
      listen: { path: "/run/s" },
      listenAlso: undefined,
    });
    expect(readConfig({ EXECUTOR_SOCKET: "/run/s", PORT: "81" })).toMatchObject({
      listen: { path: "/run/s" },
      listenAlso: { port: 81 },
    });
  });

  test("every bad variable is named at once, with none of the secrets", () => {
    const read = () =>
      readConfig({
        PORT: "70000",
        EXECUTION_TIMEOUT: "soon",
        MAX_OUTPUT_BYTES: "-1",
        KERNEL_USER: "root",
        LOG_LEVEL: "loud",
        EXECUTOR_TOKEN: "s3cret",
      });
    expect(read).toThrow(ConfigError);
    for (const name of ["PORT", "EXECUTION_TIMEOUT", "MAX_OUTPUT_BYTES", "KERNEL_USER", "LOG_LEVEL"]) {
      expect(read).toThrow(name);
    }
    expect(read).not.toThrow("s3cret");
  });

  test("a default time limit above the maximum is refused", () => {
    expect(() => readConfig({ EXECUTION_TIMEOUT: "10", MAX_EXECUTION_TIMEOUT: "5" })).toThrow(
      /EXECUTION_TIMEOUT.*MAX_EXECUTION_TIMEOUT/,
    );
  });

  test("the kernel's environment is the executor's without what is the server's alone", () => {
    const { kernelEnv } = readConfig({
      EXECUTOR_TOKEN: "t",
      EXECUTOR_SOCKET: "/s",
      EXECUTOR_STOP_WITH_STDIN: "1",
      EXECUTOR_ORPHAN_GRACE: "5",
      CONTAINER_RESTARTS: "1",
      NODE_OPTIONS: "-x",
      A: "1",
    });
    expect(kernelEnv).toEqual({ A: "1" });
  });

  test("an executor is not left alone, and has no container that starts again, unless that is said", () => {
    expect(readConfig({})).toMatchObject({ orphanGraceMs: 0, containerRestarts: false });
    expect(readConfig({ EXECUTOR_ORPHAN_GRACE: "0.5", CONTAINER_RESTARTS: "1" })).toMatchObject({
      orphanGraceMs: 500,
      containerRestarts: true,
    });
    expect(() => readConfig({ EXECUTOR_ORPHAN_GRACE: "-1", CONTAINER_RESTARTS: "yes" })).toThrow(
      /EXECUTOR_ORPHAN_GRACE.*\n.*CONTAINER_RESTARTS/,
    );
  });

  test("user and group of the kernel are numbers", () => {
    expect(readConfig({ KERNEL_USER: "1000:1001" }).kernelUser).toEqual({ uid: 1000, gid: 1001 });
  });
});
