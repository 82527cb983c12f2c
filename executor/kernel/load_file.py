# Runs one mounted file in the user's global scope. `namespace`, `path` and `folder` are given; no name of this file
# reaches the user's namespace, because it is executed in one of its own.
import os
import sys

if folder not in sys.path:
    # After the standard library, before what is installed: a mounted file may not hide a module of Python itself.
    position = next(
        (i for i, entry in enumerate(sys.path) if os.path.basename(entry) in ("site-packages", "dist-packages")),
        len(sys.path),
    )
    sys.path.insert(position, folder)

if path is not None:
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    namespace["__file__"] = path
    try:
        exec(code, namespace)
    finally:
        namespace.pop("__file__", None)
