import type { Remain, RemainsPlace } from "./remain.ts";
import { SESSION_VARIABLE } from "./tenant.ts";

/** Inside of the interpreter. */
export function inTheInterpreter({ scratch }: RemainsPlace): Remain[] {
  return [
    { kind: "a variable", leave: "left_variable = 1", seen: `return "left_variable" in globals()` },
    {
      kind: "a function of a library that it replaced",
      leave: `import json\njson.dumps = lambda *args, **options: "left"`,
      seen: `import json\nreturn json.dumps(1) == "left"`,
    },
    {
      kind: "a module of its own",
      leave: `import sys, types\nsys.modules["left_module"] = types.ModuleType("left_module")`,
      seen: `import sys\nreturn "left_module" in sys.modules`,
    },
    {
      kind: "a built-in",
      leave: `import builtins\nbuiltins.left_builtin = 1`,
      seen: `import builtins\nreturn hasattr(builtins, "left_builtin")`,
    },
    {
      kind: "an import path",
      leave: `import sys\nsys.path.insert(0, "/left/path")`,
      seen: `import sys\nreturn "/left/path" in sys.path`,
    },
    {
      kind: "an interpreter setting",
      leave: `import sys\nsys.setrecursionlimit(2345)`,
      seen: `import sys\nreturn sys.getrecursionlimit() == 2345`,
    },
    // The looks at the history must not find themselves.
    {
      kind: "inputs in the history",
      leave: `"left_in_history"`,
      seen: `return any("left_" "in_history" in cell for cell in In)`,
    },
    {
      kind: "results in the history",
      leave: `"left as " + "a result"`,
      seen: `return any("left " "as a " "result" in str(value) for value in [*Out.values(), _, __, ___])`,
    },
    {
      kind: "a hook of IPython",
      leave: `def left_hook(*args): pass\nget_ipython().events.register("pre_run_cell", left_hook)`,
      seen: `hooks = get_ipython().events.callbacks["pre_run_cell"]\nreturn any(hook.__name__ == "left_hook" for hook in hooks)`,
    },
    {
      kind: "a hook at exit",
      leave: `import atexit\n@atexit.register\ndef left_at_exit():\n    open("${scratch}/left-at-exit", "w").close()`,
      // Hooks cannot be listed: taking one out compares it with each.
      seen: `
import atexit, os
names = []
class Listing:
    def __eq__(self, other):
        names.append(getattr(other, "__name__", ""))
        return False
atexit.unregister(Listing())
return "left_at_exit" in names or os.path.exists("${scratch}/left-at-exit")`,
    },
  ];
}

/** What the operating system keeps for the kernel's process. */
export function inTheProcess(): Remain[] {
  return [
    {
      kind: "a change of the environment",
      leave: `import os\nos.environ["LEFT_BY_CODE"] = "1"`,
      seen: `import os\nreturn "LEFT_BY_CODE" in os.environ`,
    },
    {
      kind: "the environment of its session",
      leave: "",
      seen: `
import os, subprocess
inherited = subprocess.run(["env"], capture_output=True, text=True).stdout
return "${SESSION_VARIABLE}" in os.environ or "${SESSION_VARIABLE}" in inherited`,
    },
    {
      kind: "the working directory",
      leave: `import os\nos.chdir("/usr")`,
      seen: `import os\nreturn os.getcwd() == "/usr"`,
    },
    {
      kind: "a timer",
      leave: `import signal\nsignal.setitimer(signal.ITIMER_REAL, 3600)`,
      seen: `import signal\nreturn signal.getitimer(signal.ITIMER_REAL)[0] > 0`,
    },
    {
      kind: "a signal handler",
      leave: `import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)`,
      seen: `import signal\nreturn callable(signal.getsignal(signal.SIGUSR1))`,
    },
    {
      kind: "a blocked signal",
      leave: `import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])`,
      seen: `import signal\nreturn signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, [])`,
    },
    {
      kind: "a umask",
      leave: `import os\nos.umask(0o012)`,
      seen: `import os\nmask = os.umask(0o022)\nos.umask(mask)\nreturn mask == 0o012`,
    },
    {
      kind: "a lowered limit of resources",
      leave: `import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (777, 777))`,
      seen: `import resource\nreturn resource.getrlimit(resource.RLIMIT_NOFILE) == (777, 777)`,
    },
    {
      kind: "a time zone",
      leave: `import os, time\nos.environ["TZ"] = "LEFT-5"\ntime.tzset()`,
      seen: `import time\nreturn time.tzname[0] == "LEFT"`,
    },
    {
      kind: "a locale",
      leave: `import locale\nlocale.setlocale(locale.LC_NUMERIC, "C.UTF-8")`,
      seen: `import locale\nreturn locale.setlocale(locale.LC_NUMERIC) == "C.UTF-8"`,
    },
  ];
}
