import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeEach, afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";

const script = resolve("generate-compose.ts");

/** What is there before the generator runs. */
const GIVEN = new Set(["code", "file", "no-keys", "taken", "taken/container_000"]);

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "generate-compose-"));
  await mkdir(join(directory, "code"));
  await writeFile(join(directory, "file"), "A=1\n");
  await writeFile(join(directory, "no-keys"), "# of nobody\n");
  await mkdir(join(directory, "taken"));
  await writeFile(join(directory, "taken", "container_000"), "");
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/**
 * Runs the generator as `npm run generate-compose` does: a process of its own, here in a directory of its own. Without
 * `--` Node takes `--env-file` for its own flag.
 */
async function generate(...flags: string[]): Promise<{ code: number; stdout: string; lines: string[] }> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      ["--", script, ...flags],
      { cwd: directory },
      (_error, stdout, stderr) => {
        done({ code: child.exitCode ?? -1, stdout, lines: stderr.trimEnd().split("\n") });
      },
    );
  });
}

async function written(): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  return names.filter((name) => !GIVEN.has(name)).toSorted();
}

async function modeOf(name: string): Promise<number> {
  return (await stat(join(directory, name))).mode & 0o777;
}

async function compose(file = "docker-compose.yml") {
  return parse(await readFile(join(directory, file), "utf8"));
}

describe("bad input ends with 2, a line for each problem, and no file written:", () => {
  test.each<[string, string[], string[]]>([
    [
      "type syntax",
      ["-t", "python"],
      ['--types: "python" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ],
    [
      "unknown type",
      ["-t", "ruby:1"],
      ['--types: unknown type "ruby": built in are python and typescript; name its image with ruby=IMAGE'],
    ],
    [
      "count mismatch",
      ["-n", "3", "-t", "python:2"],
      ["--num-containers: 3 is not the sum of --types, which is 2"],
    ],
    ["no executor", ["-n", "0"], ['--num-containers: "0" is not a number of executors from 1 to 1000']],
    ["too many executors", ["-t", "python:1001"], ["--types: 1001 executors are more than 1000"]],
    ["manager port", ["--manager-port", "65536"], ['--manager-port: "65536" is not a port from 1 to 65535']],
    ["start port", ["-p", "x", "--network", "egress"], ['--start-port: "x" is not a port from 1 to 65535']],
    [
      "last executor's port",
      ["-p", "65535", "--network", "shared"],
      ["--start-port: the last of 2 executors would get port 65536, past 65535"],
    ],
    [
      "port of the manager given to an executor, too",
      ["-p", "4999", "--network", "shared"],
      ["--start-port: ports 4999 to 5000 include the manager's, 5000"],
    ],
    [
      "port without a network",
      ["-p", "9000"],
      ["--start-port: needs a network: add --network egress or --network shared"],
    ],
    ["missing code directory", ["-m", "no/where"], ['--mountable-volumes: "no/where" does not exist']],
    ["code that is a file", ["-m", "file"], ['--mountable-volumes: "file" is a file, not a directory']],
    [
      "submissions in a file",
      ["-s", "file"],
      ['--mountable-volume-saveto: "file" is a file, not a directory or missing'],
    ],
    ["duplicate GPU", ["-g", "0,0"], ["--gpu-ids: GPU 0 is given twice"]],
    [
      "wrong number of GPUs",
      ["-g", "0"],
      ["--gpu-ids: 1 entries for 2 executors: one each, - for an executor without a GPU"],
    ],
    ["reserved variable", ["-e", "PORT=1"], ["--env: PORT is reserved: the generator sets it"]],
    [
      "malformed variable",
      ["-e", "9=1", "-e", "x"],
      ['--env: "x" is not NAME=VALUE', '--env: "9" is not a variable name'],
    ],
    ["missing environment file", ["--env-file", "no"], ['--env-file: "no" does not exist']],
    ["unknown preset", ["--preset", "toString"], ['--preset: "toString" is none of quick, default, long']],
    [
      "limits",
      ["--memory", "256", "--cpus", "0", "--pids", "1", "--execution-timeout", "0"],
      [
        '--execution-timeout: "0" is not a number of seconds from above 0 to 604800',
        '--memory: "256" is less than 6M (a number without a unit is bytes)',
        '--cpus: "0" is not a number of cores such as 0.25',
        '--pids: "1" is not a number of processes from 32 to 4194304',
      ],
    ],
    [
      "limits in the environment",
      ["-e", "MEM_LIMIT=much,CPUS=x,MEM_RESERVATION=y,EXECUTION_TIMEOUT=z"],
      [
        'EXECUTION_TIMEOUT: "z" is not a number of seconds from above 0 to 604800',
        'MEM_RESERVATION: "y" is not a size such as 256M or 1G',
        'MEM_LIMIT: "much" is not a size such as 256M or 1G',
        'CPUS: "x" is not a number of cores such as 0.25',
      ].toSorted(),
    ],
    [
      "limits that contradict each other",
      ["-e", "MEM_RESERVATION=1G,MAX_EXECUTION_TIMEOUT=3"],
      [
        "MAX_EXECUTION_TIMEOUT: 3 is less than the time limit of an execution, 30",
        "MEM_RESERVATION: 1G is more than the 256M that a python executor may use",
      ],
    ],
    ["reset", ["--reset", "r=kernel"], ['--reset: no executor is of type "r": types are python']],
    ["network", ["--network", "host"], ['--network: "host" is none of none, egress, shared']],
    ["runtime", ["--runtime", "a b"], ['--runtime: "a b" is not a runtime\'s name such as runsc']],
    [
      "address",
      ["--publish", "localhost"],
      ['--publish: "localhost" is not an IP address such as 127.0.0.1'],
    ],
    [
      "publishing without keys",
      ["--publish", "0.0.0.0"],
      [
        "--publish: 0.0.0.0 would let everybody who reaches it run code here: add --api-key-file, or publish on 127.0.0.1",
      ],
    ],
    ["missing key file", ["--api-key-file", "no"], ['--api-key-file: "no" does not exist']],
    ["key file without a key", ["--api-key-file", "no-keys"], ['--api-key-file: "no-keys" holds no key']],
    [
      "submissions below a file",
      ["-s", "file/x"],
      ['--mountable-volume-saveto: "file" is a file, not a directory'],
    ],
    [
      "submissions where something else has their name",
      ["-s", "taken"],
      [expect.stringMatching(/^error: EEXIST: file already exists, .*container_000/)],
    ],
    [
      "output where nothing can be made",
      ["-o", "/proc/fleet.yml"],
      [expect.stringMatching(/^(error: ENOENT|--output: cannot write to "\/proc").*\/proc/)],
    ],
    ["output in no directory", ["-o", "no/x.yml"], ['--output: the directory of "no/x.yml" does not exist']],
    ["output that is a directory", ["-o", "code"], ['--output: "code" is a directory']],
    ["one file for both", ["-o", "x", "-c", "./x"], ["--config-file: is the file that --output writes"]],
    ["unknown flag", ["--containers", "2"], ["error: unknown option '--containers'"]],
    ["stray word", ["demo.yml"], ["error: too many arguments. Expected 0 arguments but got 1: demo.yml."]],
  ])("%s", async (_name, flags, problems) => {
    const { code, stdout, lines } = await generate(...flags);
    expect({ code, stdout, lines: lines.toSorted() }).toEqual({
      code: 2,
      stdout: "",
      lines: problems.toSorted(),
    });
    expect(await written()).toEqual([]);
  });

  test("many problems at once, all told, and the old files kept", async () => {
    await writeFile(join(directory, "docker-compose.yml"), "old");
    const flags = "-n 3 -t python:2 -p 70000 -m nope -g 1,1 -e HOST=x --cpus -1".split(" ");
    const { code, lines } = await generate(...flags);
    expect(code).toBe(2);
    expect(new Set(lines.map((line) => line.split(":")[0]))).toEqual(
      new Set(["--cpus", "--env", "--gpu-ids", "--mountable-volumes", "--num-containers", "--start-port"]),
    );
    expect(await readFile(join(directory, "docker-compose.yml"), "utf8")).toBe("old");
  });
});

describe("good input", () => {
  test("without flags: two Python executors beside the manager's map, and nothing else", async () => {
    const { code, lines } = await generate();
    expect({ code, lines }).toEqual({
      code: 0,
      lines: ["wrote docker-compose.yml and container_config.json for 2 executors"],
    });
    expect(await written()).toEqual(["container_config.json", "docker-compose.yml"]);
    expect(Object.keys((await compose()).services)).toEqual(["executor-000", "executor-001", "manager"]);
  });

  test("the same flags twice give the same bytes", async () => {
    const flags = ["-t", "python:1,typescript:1", "-m", "code", "-e", "B=2,A=1"];
    await generate(...flags);
    const first = await readFile(join(directory, "docker-compose.yml"));
    await generate(...flags);
    expect(await readFile(join(directory, "docker-compose.yml"))).toEqual(first);
  });

  test("- prints the Compose file and writes only the map that it mounts", async () => {
    const { code, stdout, lines } = await generate("-o", "-");
    expect({ code, lines }).toEqual({ code: 0, lines: ["wrote container_config.json for 2 executors"] });
    expect(parse(stdout)).toHaveProperty("services.manager.volumes.0.source", "./container_config.json");
    expect(await written()).toEqual(["container_config.json"]);
  });

  test("paths are written as Compose reads them: from the file's own directory, absolute ones as they are", async () => {
    await mkdir(join(directory, "deploy"));
    await generate("-o", "deploy/fleet.yml", "-m", "code", "-s", join(directory, "saved"));
    const { services } = await compose("deploy/fleet.yml");
    expect(services["executor-001"].volumes.slice(1)).toMatchObject([
      { source: "../code", target: "/code", read_only: true },
      { source: `${directory}/saved/container_001`, target: "/submission" },
    ]);
    expect(services.manager.volumes[0].source).toBe("./container_config.json");
    expect(await written()).toContain("deploy/container_config.json");
  });

  test("submission directories are open for user code, their parent is not open for others of this machine", async () => {
    await generate("-s", "saved");
    expect([
      await modeOf("saved"),
      await modeOf("saved/container_000"),
      await modeOf("saved/container_001"),
    ]).toEqual([0o700, 0o777, 0o777]);
  });

  test("a submission directory that was there is kept as it is, with a warning when user code may not write", async () => {
    await mkdir(join(directory, "saved/container_000"), { recursive: true });
    await chmod(join(directory, "saved/container_000"), 0o500);
    const { lines } = await generate("-s", "saved");
    expect(lines[0]).toBe(
      "warning: --mountable-volume-saveto: user code (user 10001) may not write to saved/container_000",
    );
    expect(await modeOf("saved/container_000")).toBe(0o500);
  });

  test("a key file that the manager may not read is warned about", async () => {
    await writeFile(join(directory, "keys"), "secret\n", { mode: 0o600 });
    const { code, lines } = await generate("--api-key-file", "keys", "--publish", "::");
    expect(code).toBe(0);
    expect(lines[0]).toBe(
      "warning: --api-key-file: the manager runs as user 10002 and may not read it: chown 10002 keys",
    );
    expect((await compose()).services.manager.ports[0].host_ip).toBe("::");
  });

  test("limits come from their flag, else --env, else --env-file, else --preset", async () => {
    await writeFile(join(directory, "env"), "CPUS=2\nMEM_LIMIT=1G\nEXECUTION_TIMEOUT=7\nX=file\n");
    await generate("--preset", "long", "--env-file", "env", "-e", "MEM_LIMIT=2G,X=flag", "--cpus", "3");
    expect((await compose()).services["executor-000"]).toMatchObject({
      cpus: 3,
      mem_limit: "2G",
      environment: { EXECUTION_TIMEOUT: "7", X: "flag" },
    });
    expect((await compose()).services["executor-000"].environment).not.toHaveProperty("CPUS");
  });

  test("a time limit past the usual maximum raises the maximum", async () => {
    await generate("--execution-timeout", "7200");
    expect((await compose()).services["executor-000"].environment).toMatchObject({
      EXECUTION_TIMEOUT: "7200",
      MAX_EXECUTION_TIMEOUT: "7200",
    });
  });

  test("the map says how a type is reset where --reset does", async () => {
    await generate("-t", "python:1,typescript:1", "--reset", "typescript=kernel");
    const map = JSON.parse(await readFile(join(directory, "container_config.json"), "utf8"));
    expect([map[0].reset, map[1].reset]).toEqual([undefined, "kernel"]);
  });

  test("the map is readable for the manager's user whatever the umask", async () => {
    const umask = process.umask(0o077);
    await generate().finally(() => process.umask(umask));
    expect(await modeOf("container_config.json")).toBe(0o644);
  });
});
