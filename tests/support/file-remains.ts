import type { Remain } from "./remain.ts";

/** Everything that can be written to in a container. The home is the first of them. */
const FOLDERS = ["/tmp", "/workspace", "/dev/shm"];

/** Files in all states. */
export function files(): Remain[] {
  return FOLDERS.flatMap((folder) => {
    const seen = (name: string) =>
      `import os\nreturn any(name.startswith("${name}") for name in os.listdir("${folder}"))`;
    return [
      {
        kind: `files in ${folder}`,
        leave: `
import os, pathlib
for name in ("left-file", "left-name\\nof two lines", "left-read-only"):
    pathlib.Path("${folder}", name).write_text("tenant A")
os.chmod("${folder}/left-read-only", 0o400)
os.mkfifo("${folder}/left-fifo")
os.symlink("/code", "${folder}/left-link")`,
        seen: seen("left-"),
      },
      {
        kind: `hidden folders in ${folder} that it shut itself out of`,
        leave: `
import pathlib
inner = pathlib.Path("${folder}", ".left", ".inner")
inner.mkdir(parents=True)
(inner / "file").write_text("tenant A")
inner.chmod(0)
inner.parent.chmod(0)`,
        seen: seen(".left"),
      },
      {
        kind: `folders in ${folder} deeper than a path can be long`,
        leave: `
import os
before = os.getcwd()
os.chdir("${folder}")
for depth in range(50):
    name = "deep-left" + "-" * 90
    os.mkdir(name)
    os.chdir(name)
os.mkdir("shut")
open("shut/file", "w").close()
os.chmod("shut", 0)
os.chdir(before)`,
        seen: seen("deep-left"),
      },
    ].map((remain) => ({ ...remain, staysInProcesses: true as const }));
  });
}

/** What Python, IPython and shells read when they start. */
export function startupFiles(): Remain[] {
  const write = (path: string, text: string) => `
import os, pathlib, site
file = pathlib.Path(${path}).expanduser()
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text("""${text}""")`;
  const inUserSite = (name: string) => `site.getusersitepackages(), "${name}"`;
  // In the kernel, and in any other Python that it starts.
  const builtinSeen = (name: string) => `
import builtins, subprocess, sys
program = "import builtins; print(hasattr(builtins, '${name}'))"
printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
return hasattr(builtins, "${name}") or "True" in printed`;
  const fileSeen = (path: string) => `import os\nreturn os.path.exists(os.path.expanduser("${path}"))`;
  const python = (kind: string, file: string, name: string): Remain => ({
    kind,
    leave: write(inUserSite(file), `import builtins; builtins.${name} = 1\n`),
    seen: builtinSeen(name),
  });
  const siteFileSeen = (file: string) => `
import os, site
return os.path.exists(os.path.join(${inUserSite(file)}))`;
  const profile = "~/.ipython/profile_default";
  return [
    python("a .pth file of its own", "left.pth", "left_pth"),
    // The file alone: a distribution may have one of its own, which Python finds first.
    {
      ...python("sitecustomize", "sitecustomize.py", "left_sitecustomize"),
      seen: siteFileSeen("sitecustomize.py"),
    },
    python("usercustomize", "usercustomize.py", "left_usercustomize"),
    {
      kind: "a package that it installed",
      leave: `
import subprocess, sys, zipfile
wheel = "/tmp/left_package-1-py3-none-any.whl"
with zipfile.ZipFile(wheel, "w") as archive:
    archive.writestr("left_package.py", "")
    archive.writestr("left_package-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: left_package\\nVersion: 1\\n")
    archive.writestr("left_package-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    archive.writestr("left_package-1.dist-info/RECORD", "left_package.py,,\\n")
subprocess.run([sys.executable, "-m", "pip", "install", "--user", "--no-index", "--no-deps", wheel], check=True, capture_output=True)`,
      seen: `
import importlib.util, subprocess, sys
elsewhere = subprocess.run([sys.executable, "-c", "import left_package"], capture_output=True)
return elsewhere.returncode == 0 or importlib.util.find_spec("left_package") is not None`,
    },
    {
      kind: "a start-up file of IPython",
      leave: write(`"${profile}/startup/00-left.py"`, "left_startup = 1"),
      seen: `${fileSeen(`${profile}/startup/00-left.py`)} or "left_startup" in globals()`,
    },
    {
      kind: "a configuration of IPython",
      leave: write(`"${profile}/ipython_config.py"`, "c.InteractiveShell.separate_in = 'left'"),
      seen: `${fileSeen(`${profile}/ipython_config.py`)} or get_ipython().separate_in == "left"`,
    },
    {
      kind: "~/.bashrc",
      leave: write(`"~/.bashrc"`, "echo left in bashrc"),
      seen: `import subprocess\nreturn "left" in subprocess.run(["bash", "-ic", ":"], capture_output=True, text=True).stdout`,
    },
    { kind: "~/.pythonrc", leave: write(`"~/.pythonrc"`, "left = 1"), seen: fileSeen("~/.pythonrc") },
  ].map((remain) => ({ ...remain, staysInProcesses: true as const }));
}
