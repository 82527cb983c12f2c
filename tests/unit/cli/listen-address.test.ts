import { describe, expect, test } from "vitest";
import { listenError, reachableUrl } from "#cli/listen-address.ts";

describe("the URL that is told", () => {
  test.each([
    ["http://0.0.0.0:5000", "http://127.0.0.1:5000"],
    ["http://[::]:5000", "http://[::1]:5000"],
    ["http://192.0.2.7:5000", "http://192.0.2.7:5000"],
    ["http://localhost:5000", "http://localhost:5000"],
  ])("of %s is %s", (listening, reachable) => {
    expect(reachableUrl(listening)).toBe(reachable);
  });
});

describe("why it cannot listen", () => {
  const address = { host: "192.0.2.7", port: 80 };

  test.each([
    ["EADDRINUSE", "port 80 of 192.0.2.7 is taken"],
    ["EACCES", "this user may not listen on port 80"],
    ["EADDRNOTAVAIL", "192.0.2.7 is no address of this machine"],
  ])("%s is told in words, with the way out", (code, message) => {
    const error = listenError(Object.assign(new Error("listen"), { code }), address);
    expect(error?.message).toContain(message);
    expect(error?.message).toMatch(/--(port|host)/);
  });

  test("another error is not about listening", () => {
    expect(listenError(new Error("other"), address)).toBeUndefined();
  });
});
