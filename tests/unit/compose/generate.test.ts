import { describe, expect, test } from "vitest";
import { parseContainerConfig } from "#contract/container-config.ts";
import { fleetSpecSchema } from "#compose/fleet-spec.ts";
import { generateFleet } from "#compose/generate.ts";
import { toYaml } from "#compose/to-yaml.ts";
import { everything, specWith } from "./spec-fixture.ts";

const foreign = [{ type: "r", count: 1, image: "r:1" }];

describe("the Compose file of", () => {
  test.each([
    ["two Python executors", "two-python", specWith()],
    ["a fleet that may go out and is published", "egress", specWith({ network: "egress", startPort: 9000 })],
    ["a fleet that uses everything", "everything", everything],
  ])("%s is the golden one", async (_name, file, spec) => {
    expect(fleetSpecSchema.parse(spec)).toEqual(spec);
    await expect(toYaml(generateFleet(spec).compose)).toMatchFileSnapshot(`golden/${file}.yml.snap`);
  });
});

test("the same spec gives the same bytes", () => {
  const [first, second] = [structuredClone(everything), structuredClone(everything)].map((spec) => {
    const { compose, containerConfig } = generateFleet(spec);
    return toYaml(compose) + JSON.stringify(containerConfig);
  });
  expect(first).toBe(second);
});

test("the manager's map is read back by the manager's own reader", () => {
  const { containerConfig } = generateFleet(everything);
  expect(parseContainerConfig(JSON.stringify(containerConfig))).toEqual([
    { number: 0, url: "http://executor-000:8432", type: "python", reset: "container" },
    { number: 1, url: "http://executor-001:8432", type: "python", reset: "container" },
    { number: 2, url: "http://executor-002:8432", type: "typescript" },
    { number: 3, url: "http://executor-003:8432", type: "r", reset: "kernel" },
  ]);
});

test("without a shared network every executor has a socket volume of its own, and no other sees it", () => {
  const { compose, containerConfig } = generateFleet(specWith({ network: "none" }));
  expect(containerConfig).toEqual({
    "0": { url: "unix:/run/executors/000/executor.sock", type: "python" },
    "1": { url: "unix:/run/executors/001/executor.sock", type: "python" },
  });
  for (const number of ["000", "001"]) {
    expect(compose.services[`executor-${number}`]).toMatchObject({
      network_mode: "none",
      volumes: [{ type: "volume", source: `executor-${number}-run`, target: "/run/executor" }],
    });
  }
});

test("a type with a name that every object knows has no reset of its own", () => {
  const types = [{ type: "constructor", count: 1, image: "c:1" }];
  expect(generateFleet(specWith({ types })).containerConfig["0"]).not.toHaveProperty("reset");
});

test("what the manager keeps lies in a volume that outlives its container, its only place to write", () => {
  const { services, volumes } = generateFleet(everything).compose;
  expect(services["manager"]).toMatchObject({
    read_only: true,
    environment: { FLEET_DATA_DIR: "/data" },
    volumes: [{ target: expect.any(String) }, { type: "volume", source: "manager-data", target: "/data" }],
  });
  expect(volumes).toHaveProperty("manager-data");
});

test("every executor may end itself to be cleared, images of the user's included", () => {
  const { manager, ...executors } = generateFleet(everything).compose.services;
  for (const service of Object.values(executors)) {
    expect(service).toMatchObject({ restart: "unless-stopped", environment: { CONTAINER_RESTARTS: "1" } });
  }
  expect(manager?.["environment"]).not.toHaveProperty("CONTAINER_RESTARTS");
});

test("each image is built by one service, and none of ours is ever pulled", () => {
  const { services } = generateFleet(everything).compose;
  const facts = Object.values(services).map(({ image, pull_policy, build }) => [
    image,
    pull_policy,
    build !== undefined,
  ]);
  expect(facts).toEqual([
    ["executor-fleet-python", "never", true],
    ["executor-fleet-python", "never", false],
    ["executor-fleet-typescript", "never", true],
    ["registry.example.org/team/r-exec:1.2", undefined, false],
    ["executor-fleet-manager", "never", true],
  ]);
});

test("a type has the memory that its kernel needs unless the user says how much", () => {
  const types = [
    { type: "python", count: 1 },
    { type: "typescript", count: 1 },
  ];
  const memory = (spec: Parameters<typeof specWith>[0]) => {
    const { services } = generateFleet(specWith({ types, ...spec })).compose;
    return [services["executor-000"]?.["mem_limit"], services["executor-001"]?.["mem_limit"]];
  };
  expect(memory({})).toEqual(["256M", "512M"]);
  expect(memory({ limits: { cpus: 1, pids: 64, memoryBytes: 2 ** 30 } })).toEqual(["1G", "1G"]);
});

test("the manager is made anew when its map changes, also where nothing else of it does", () => {
  const [first, second] = ["r", "ruby"].map((type) => {
    const { services } = generateFleet(specWith({ types: [{ type, count: 1, image: "r:1" }] })).compose;
    return services["manager"];
  });
  expect(first).not.toEqual(second);
});

describe("the operator is warned", () => {
  test.each([
    ["not at all", specWith(), []],
    ["not at all about egress", specWith({ network: "egress" }), []],
    [
      "that a shared network opens the manager",
      specWith({ network: "shared" }),
      [/the manager and every executor/],
    ],
    [
      "only of the executors when the manager asks for keys",
      specWith({ network: "shared", manager: { port: 5000, publish: "127.0.0.1", apiKeyFile: "k" } }),
      [/^--network shared: user code can reach every executor$/],
    ],
    ["of published executors", specWith({ network: "egress", startPort: 9000 }), [/^--start-port/]],
    [
      "that an image of theirs must serve a socket",
      specWith({ types: foreign }),
      [/^type r: r:1 must listen/],
    ],
    [
      "only of the network when theirs is shared",
      specWith({ types: foreign, network: "shared" }),
      [/^--network/],
    ],
  ])("%s", (_name, spec, warnings) => {
    expect(generateFleet(spec).warnings).toEqual(warnings.map((pattern) => expect.stringMatching(pattern)));
  });
});
