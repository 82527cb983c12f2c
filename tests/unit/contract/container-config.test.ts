import { describe, expect, test } from "vitest";
import { parseContainerConfig } from "#contract/container-config.ts";

const python = (number: number, url: string) => ({ number, url, type: "python" });

describe("every form that was ever written is read", () => {
  test.each([
    [
      "of today",
      '{"0":{"url":"http://a:1","type":"typescript"}}',
      [{ number: 0, url: "http://a:1", type: "typescript" }],
    ],
    ["of today, without a type", '{"0":{"url":"http://a:1"}}', [python(0, "http://a:1")]],
    [
      "number to url",
      '{"0":"http://a:1","1":"http://b:1"}',
      [python(0, "http://a:1"), python(1, "http://b:1")],
    ],
    ["a list of urls", '["http://a:1","http://b:1"]', [python(0, "http://a:1"), python(1, "http://b:1")]],
    ["a list of entries", '[{"url":"http://a:1","type":"python"}]', [python(0, "http://a:1")]],
    [
      "of today, with a reset",
      '{"0":{"url":"http://a:1","reset":"container"}}',
      [{ ...python(0, "http://a:1"), reset: "container" }],
    ],
    ["a Unix socket", '{"3":"unix:/run/fleet/3.sock"}', [python(3, "unix:/run/fleet/3.sock")]],
    ["a slash at the end", '{"0":"http://a:1/"}', [python(0, "http://a:1/")]],
  ])("%s", (_, text, entries) => {
    expect(parseContainerConfig(text)).toEqual(entries);
  });

  test("in the order of the numbers", () => {
    const entries = parseContainerConfig('{"10":"http://c:1","2":"http://b:1","0":"http://a:1"}');
    expect(entries.map(({ number }) => number)).toEqual([0, 2, 10]);
  });
});

describe("what cannot be read is told, with its place", () => {
  test.each([
    ["no JSON", "{", ["not JSON"]],
    ["an empty file", "", ["not JSON"]],
    ["neither map nor list", '"http://a:1"', ["not a container config"]],
    ["nothing in it", "{}", ["no executor in it"]],
    ["an empty list", "[]", ["no executor in it"]],
    ["a key that is no number", '{"first":"http://a:1"}', ["first", "not an executor number"]],
    [
      "a number that is written twice",
      '{"0":"http://a:1","00":"http://b:1"}',
      ["00", "not an executor number"],
    ],
    ["a number beyond all bounds", '{"99999999999":"http://a:1"}', ["not an executor number"]],
    ["a url of another kind", '{"0":"ftp://a"}', ["ftp://a", "neither http://host[:port] nor unix:", "0"]],
    [
      "a url with a path",
      '{"0":"http://a:1/api"}',
      ["http://a:1/api", "neither http://host[:port] nor unix:"],
    ],
    ["a url with a query", '["http://a:1?x=1"]', ["http://a:1?x=1", "neither http://host[:port] nor unix:"]],
    ["a url with a password", '["http://u:p@a:1"]', ["neither http://host[:port] nor unix:"]],
    ["a relative socket", '{"0":"unix:x.sock"}', ["unix:x.sock"]],
    ["a bad url in an entry", '{"0":{"url":"a:1"}}', ["a:1", "neither http://host[:port] nor unix:", "url"]],
    ["an entry without a url", '{"1":{"type":"python"}}', ["url", "1"]],
    ["a type that is empty", '{"0":{"url":"http://a:1","type":""}}', ["type"]],
    ["a type that is no text", '{"0":{"url":"http://a:1","type":7}}', ["type"]],
    ["a reset of another kind", '{"0":{"url":"http://a:1","reset":"none"}}', ["reset", '"container"']],
    ["an entry of another kind", '{"0":5}', ["0"]],
    ["one url twice", '["http://a:1","http://a:1"]', ["two executors have the url http://a:1"]],
  ])("%s", (_, text, parts) => {
    let message = "";
    try {
      parseContainerConfig(text);
    } catch (error) {
      message = error instanceof Error ? error.message : "";
    }
    for (const part of parts) expect(message).toContain(part);
    expect(message).not.toBe("");
  });

  test("every problem at once", () => {
    expect(() => parseContainerConfig('{"0":"a","1":"b"}')).toThrow(/"a" is neither[^]*"b" is neither/);
  });
});
