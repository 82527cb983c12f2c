import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ExecutorProcess } from "#tests/support/executor-process.ts";

let executor: ExecutorProcess;

beforeAll(async () => {
  executor = await ExecutorProcess.start();
});
afterAll(() => executor[Symbol.asyncDispose]());

beforeEach(async () => {
  await executor.postJson("/restart");
  await executor.execute("import asyncio, io, os, signal, sys, threading\nkept = 7");
});

/** The next cell runs at once, is heard, and has the variables. */
const expectKept = async () => {
  expect(await executor.execute("print(kept)")).toMatchObject({
    outcome: "ok",
    outputs: [{ type: "stream", name: "stdout", text: "7\n" }],
  });
  expect((await executor.execute("kept")).outputs).toEqual([{ type: "result", data: { "text/plain": "7" } }]);
};

/** The outcome of code, and that of the next cell. */
const endings = async (code: string) => [
  (await executor.execute(code)).outcome,
  (await executor.execute("1")).outcome,
];
const AT_ONCE = ["kernel_died", "ok"];

describe("text that no UTF-8 stands for", () => {
  test.each([
    ["a string", "print('\ud800')"],
    ["a comment", "x = 1 # \udfff"],
    ["a magic", "%who \ud800"],
    ["a shell command", "!echo \ud800"],
  ])("is an error of the code that has it in %s", async (_, code) => {
    const { outcome, outputs } = await executor.execute(code);
    expect({ outcome, outputs }).toMatchObject({
      outcome: "error",
      outputs: [{ type: "error", name: "UnicodeEncodeError" }],
    });
    await expectKept();
  });

  const own = "class Odd:\n    def __repr__(self): return chr(0xd800)\n";
  test.each([
    ["on standard output", "print(chr(0xd800))", [{ name: "stdout", text: "\\ud800\n" }]],
    ["on standard error", "print(chr(0xdc80), file=sys.stderr)", [{ name: "stderr", text: "\\udc80\n" }]],
    [
      "from a thread",
      "t = threading.Thread(target=print, args=(chr(0xd800),)); t.start(); t.join()",
      [{ text: "\\ud800\n" }],
    ],
    [
      "from a forked child",
      "if os.fork() == 0:\n    print(chr(0xd800)); os._exit(0)\nos.wait();",
      [{ text: "\\ud800\n" }],
    ],
    ["in a result", `${own}Odd()`, [{ type: "result", data: { "text/plain": "\\ud800" } }]],
    ["inside a result", `${own}{"a": Odd()}`, [{ type: "result", data: { "text/plain": "{'a': \\ud800}" } }]],
    [
      "in a display",
      "from IPython.display import display\n" +
        "display({'text/plain': chr(0xd800), 'x/' + chr(0xd801): 'y'}, raw=True, metadata={chr(0xd802): 1})",
      [
        {
          type: "display",
          data: { "text/plain": "\\ud800", "x/\\ud801": "y" },
          metadata: { "\\ud802": 1 },
        },
      ],
    ],
    [
      "in what a pager shows",
      "get_ipython().payload_manager.write_payload({'source': 'page', 'data': {'text/plain': chr(0xd800)}})",
      [{ type: "display", data: { "text/plain": "\\ud800" } }],
    ],
  ])("is written as its escape %s", async (_, code, outputs) => {
    expect(await executor.execute(code)).toMatchObject({ outcome: "ok", outputs });
    await expectKept();
  });

  test("is written as its escape in an error", async () => {
    expect(await executor.execute("raise ValueError('é' + chr(0xd800))")).toMatchObject({
      outcome: "error",
      outputs: [{ name: "ValueError", value: "é\\ud800" }],
    });
    await expectKept();
  });
});

describe("standard streams that code took away", () => {
  test.each([
    ["None", "sys.stdout = sys.stderr = None"],
    ["an object that takes no text", "sys.stdout = sys.stderr = object()"],
    ["nothing at all", "del sys.stdout, sys.stderr"],
    ["a closed file", "sys.stdout = io.StringIO(); sys.stdout.close()"],
    [
      "one whose attributes raise",
      "class Odd:\n    def __getattribute__(self, name): raise BaseException(name)\nsys.stdout = Odd()",
    ],
    ["themselves, closed", "sys.stdout.close(); sys.stderr.close()"],
    ["no display hook", "get_ipython().displayhook = None\nsys.displayhook = None"],
    ["no display publisher", "get_ipython().display_pub = None"],
  ])("are back for the next cell: %s", async (_, code) => {
    expect((await executor.execute(code)).outcome).toMatch(/^(ok|error)$/);
    await expectKept();
  });

  test("do not hide the error of their cell", async () => {
    expect(await executor.execute("del sys.stdout, sys.stderr\n1 / 0")).toMatchObject({
      outcome: "error",
      outputs: [{ name: "ZeroDivisionError" }],
    });
    await expectKept();
  });

  test("stay what code has made of them when that takes text", async () => {
    await executor.execute("sys.stdout = kept_text = io.StringIO()");
    expect((await executor.execute("print('hidden')")).outputs).toEqual([]);
    expect(await executor.execute("sys.stdout = sys.__stdout__; print(kept_text.getvalue())")).toMatchObject({
      outputs: [{ text: "hidden\n\n" }],
    });
    await expectKept();
  });

  test("may be ones that nobody can flush", async () => {
    const code = "class Odd:\n    def write(self, text): pass\nsys.stdout = Odd()\n3";
    expect(await executor.execute(code)).toMatchObject({ outcome: "ok", outputs: [{ type: "result" }] });
    expect(await executor.execute("sys.stdout = sys.__stdout__")).toMatchObject({ outcome: "ok" });
    await expectKept();
  });
});

describe("descriptors that code closed", () => {
  test.each([
    ["output", "os.close(1); os.close(2)"],
    ["all standard ones", "os.closerange(0, 3)"],
    ["output, for another", "os.dup2(os.open(os.devnull, os.O_WRONLY), 1); os.dup2(1, 2)"],
  ])("are back for the next cell: %s", async (_, code) => {
    expect((await executor.execute(`${code};`)).outcome).toBe("ok");
    await expectKept();
    expect(await executor.printed("import subprocess; _ = subprocess.run(['echo', 'child'])")).toBe(
      "child\n",
    );
    expect(await executor.printed("open('note', 'w').write('x'); os.write(2, b'direct');")).toBe("direct");
  });

  test("cost the kernel at once when they are all its own", async () => {
    expect(await endings("os.closerange(3, 100)")).toEqual(AT_ONCE);
    expect(await endings("import os; os.closerange(0, 1000)")).toEqual(AT_ONCE);
  });

  test.each(["eventfd", "eventpoll", "socket", "pipe"])(
    "leave no run without an end: each %s of the kernel",
    async (kind) => {
      const list = `import os
links = {fd: os.path.realpath(f"/proc/self/fd/{fd}") for fd in map(int, os.listdir("/proc/self/fd"))}
print(*[fd for fd, link in links.items() if fd > 2 and ${JSON.stringify(kind)} in link])`;
      const own = (await executor.printed(list)).trim().split(" ").map(Number);
      expect(own.length).toBeGreaterThan(1);
      for (const fd of own) {
        await executor.postJson("/restart");
        expect(await endings(`import os; os.close(${fd})`), `descriptor ${fd}`).not.toContain("timed_out");
      }
    },
  );

  test("may be used up", async () => {
    const code = "files = []\ntry:\n    while True: files.append(open(os.devnull))\nexcept OSError: pass";
    expect((await executor.execute(code)).outcome).toBe("ok");
    await expectKept();
    expect((await executor.execute("files.clear()")).outcome).toBe("ok");
    expect(await executor.printed("os.write(1, b'direct');")).toBe("direct");
  });
});

describe("an event loop that code", () => {
  test.each([
    ["stops", "asyncio.get_event_loop().stop()"],
    ["empties of tasks", "for task in asyncio.all_tasks(): task.cancel()"],
    [
      "gives a task that exits",
      "async def leave(): raise SystemExit(3)\ntask = asyncio.ensure_future(leave())",
    ],
    ["gives a call that exits", "_ = asyncio.get_running_loop().call_soon(sys.exit)"],
  ])("%s goes on", async (_, code) => {
    expect((await executor.execute(code)).outcome).toBe("ok");
    await expectKept();
  });

  test("cancels while it waits for it tells so", async () => {
    const code = "for task in asyncio.all_tasks(): task.cancel()\nawait asyncio.sleep(60)";
    expect(await executor.execute(code)).toMatchObject({
      outcome: "error",
      outputs: [{ name: "CancelledError" }],
    });
    await expectKept();
  });

  test("half closes costs the kernel at once", async () => {
    expect(await endings("from tornado.ioloop import IOLoop; IOLoop.current().close()")).toEqual(AT_ONCE);
  });
});

describe("a kernel that code takes apart", () => {
  test.each([
    ["session", "get_ipython().kernel.session = None"],
    ["socket", "get_ipython().kernel.iopub_socket = None"],
    ["shell", "get_ipython().kernel.shell = None"],
    ["itself", "get_ipython().kernel = None"],
  ])("has its parts back: %s", async (_, code) => {
    expect((await executor.execute(code)).outcome).toBe("ok");
    await expectKept();
  });

  test.each([
    ["its payloads", "get_ipython().payload_manager = None", "AttributeError"],
    [
      "what is no payload",
      "get_ipython().payload_manager.write_payload({'source': 'page', 'data': object()})",
      "ValueError",
    ],
  ])("answers with the error that it got: %s", async (_, code, name) => {
    expect(await executor.execute(code)).toMatchObject({ outcome: "error", outputs: [{ name }] });
    await expectKept();
  });

  test("answers after a hook that exits", async () => {
    const code =
      "def leave(*_): raise SystemExit('hook')\nget_ipython().events.register('post_run_cell', leave)";
    expect(await executor.execute(code)).toMatchObject({ outcome: "error", outputs: [{ value: "hook" }] });
    expect(await executor.execute("print(kept)")).toMatchObject({
      outputs: [{ text: "7\n" }, { value: "hook" }],
    });
  });

  test.each([
    ["a module of every library", "sys.modules.clear()"],
    ["a function of the language", "import builtins; del builtins.len"],
    ["the socket", "get_ipython().kernel.shell_stream.close()"],
    ["the thread that sends output", "get_ipython().kernel.iopub_thread.stop()"],
  ])("ends at once when it cannot answer: %s", async (_, code) => {
    expect(await endings(code)).toEqual(AT_ONCE);
  });
});

describe("an exception that cannot be shown", () => {
  test.each([
    ["its text raises", "def __str__(self): raise ValueError('text')"],
    ["its text is none", "def __str__(self): return 3"],
    ["its traceback is none", "def _render_traceback_(self): return [1, 2]"],
  ])("is told by its name: %s", async (_, method) => {
    const { outcome, outputs } = await executor.execute(`class Odd(Exception):\n    ${method}\nraise Odd`);
    expect(outcome).toBe("error");
    expect(outputs[0]).toMatchObject({ type: "error", name: "Odd" });
    await expectKept();
  });
});
