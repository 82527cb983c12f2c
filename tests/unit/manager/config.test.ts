import { ConfigError } from "#manager/config-error.ts";
import { describe, expect, test } from "vitest";
import { parseKeyFile } from "#contract/key-file.ts";
import { managerEnvSchema, managerSettings, parseEnv } from "#manager/config.ts";

const read = (env: Record<string, string | undefined>) => parseEnv(managerEnvSchema, env);

describe("the environment", () => {
  test("may be empty: loopback, port 5000, open allocation, half an hour of idleness", () => {
    expect(managerSettings(read({}))).toMatchObject({
      host: "127.0.0.1",
      port: 5000,
      apiKeys: [],
      allocation: "open",
      idleTimeoutMs: 1_800_000,
      maxConnections: 1024,
      maxBodyBytes: 33_554_432,
    });
  });

  test("counts an empty value as not given", () => {
    expect(read({ FLEET_PORT: "", FLEET_HOST: "", FLEET_ALLOCATION: undefined })).toMatchObject({
      FLEET_PORT: 5000,
    });
  });

  test("lists every bad variable at once, with its value", () => {
    const bad = {
      FLEET_PORT: "70000",
      FLEET_ALLOCATION: "lax",
      FLEET_IDLE_TIMEOUT: "-1",
      FLEET_MAX_WAITING: "many",
      MAX_BODY_BYTES: "1.5",
      LOG_LEVEL: "loud",
    };
    const messages = expect.toSatisfy((error: Error) =>
      Object.entries(bad).every(([name, value]) => error.message.includes(`\n${name}="${value}": `)),
    );
    expect(() => read(bad)).toThrow(messages);
    expect(() => read(bad)).toThrow(ConfigError);
  });

  test("takes times in seconds, and none that a date could not hold", () => {
    expect(managerSettings(read({ FLEET_IDLE_TIMEOUT: "0.5" })).idleTimeoutMs).toBe(500);
    expect(managerSettings(read({ FLEET_IDLE_TIMEOUT: "0.0016" })).idleTimeoutMs).toBe(2);
    expect(() => read({ FLEET_IDLE_TIMEOUT: "1e300" })).toThrow("FLEET_IDLE_TIMEOUT");
    expect(() => read({ FLEET_IDLE_TIMEOUT: "0.0004" })).toThrow("at least 0.001 s");
  });

  test.each(["a,b", "a b", " a,\n b ,"])("takes lists parted by commas or spaces: %j", (FLEET_API_KEYS) => {
    expect(managerSettings(read({ FLEET_API_KEYS }), { keysOfFile: ["c"] }).apiKeys).toEqual(["a", "b", "c"]);
  });
});

test("keys that are nothing but commas are refused: they were meant to keep others out", () => {
  expect(() => read({ FLEET_API_KEYS: " , " })).toThrow(
    new ConfigError('bad environment:\nFLEET_API_KEYS=" , ": it holds no key'),
  );
});

describe("an address that others reach", () => {
  test.each(["0.0.0.0", "::", "192.168.1.5", "fleet.example"])(
    "%s without keys is refused, with the way out",
    (FLEET_HOST) => {
      expect(() => managerSettings(read({ FLEET_HOST }))).toThrow(
        new ConfigError(
          `refused to serve on ${FLEET_HOST} without API keys: whoever reaches the port could run code here. ` +
            "Set FLEET_API_KEYS or FLEET_API_KEYS_FILE, or serve on 127.0.0.1.",
        ),
      );
    },
  );

  test("is served with keys, of the variable or of a file", () => {
    expect(managerSettings(read({ FLEET_HOST: "0.0.0.0", FLEET_API_KEYS: "k" })).host).toBe("0.0.0.0");
    expect(managerSettings(read({ FLEET_HOST: "0.0.0.0" }), { keysOfFile: ["k"] }).host).toBe("0.0.0.0");
  });

  test("in a container is the one on which the port is published", () => {
    const FLEET_HOST = "0.0.0.0";
    expect(managerSettings(read({ FLEET_HOST, FLEET_PUBLISHED_ON: "127.0.0.1" })).host).toBe(FLEET_HOST);
    expect(() => managerSettings(read({ FLEET_HOST, FLEET_PUBLISHED_ON: "0.0.0.0" }))).toThrow(
      "without API keys",
    );
    expect(() => managerSettings(read({ FLEET_PUBLISHED_ON: "10.0.0.1" }))).toThrow("10.0.0.1");
  });

  test.each(["127.0.0.1", "::1", "localhost"])("is not %s", (FLEET_HOST) => {
    expect(managerSettings(read({ FLEET_HOST })).host).toBe(FLEET_HOST);
  });
});

test("a key file holds one key a line; empty lines and comments are passed over", () => {
  expect(parseKeyFile("\n# team a\n  key-1  \r\n\nkey-2\n#key-3")).toEqual(["key-1", "key-2"]);
});
