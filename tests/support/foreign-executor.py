"""An executor of another maker: the four required endpoints in Python's standard library alone.

    PORT=8432 python3 foreign-executor.py

It keeps variables, captures standard output and reports errors as outputs; it knows no streaming, no `boot_id` and no
interrupt. It prints the port it listens on, and ends when its standard input does.

For tests, `HANG` and `REFUSE` hold paths that never answer or answer 500; code that runs here can change them:
`import __main__; __main__.REFUSE.add("/restart")`.
"""

import ast
import contextlib
import io
import json
import os
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG = set(filter(None, os.environ.get("HANG", "").split(",")))
REFUSE = set(filter(None, os.environ.get("REFUSE", "").split(",")))


class Kernel:
    """Keeps the variables of one life, and runs one cell at a time."""

    def __init__(self):
        self.variables = {}
        self.turn = threading.Lock()

    def execute(self, code):
        with self.turn:
            return run(code, self.variables)


def run(code, variables):
    """Runs code and returns its outputs; the value of a last expression is a result."""
    printed, outputs = io.StringIO(), []
    try:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, "<cell>", "exec"), variables)
            value = None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), variables)
        if value is not None:
            outputs.append({"type": "result", "data": {"text/plain": repr(value)}})
    except BaseException as error:
        lines = traceback.format_exception(error)
        outputs.append({"type": "error", "name": type(error).__name__, "value": str(error), "traceback": lines})
    if printed.getvalue():
        outputs.insert(0, {"type": "stream", "name": "stdout", "text": printed.getvalue()})
    return outputs


kernel = Kernel()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.respond({"/health": lambda: {"status": "ok"}, "/ready": lambda: {"ready": True}})

    def do_POST(self):
        self.respond({"/execute": self.execute, "/restart": self.restart})

    def respond(self, routes):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path in HANG:
            threading.Event().wait()
        if self.path in REFUSE:
            return self.send(500, {"detail": "refused"})
        if self.path not in routes:
            return self.send(404, {"detail": "not found"})
        try:
            self.body = json.loads(body or b"{}")
        except ValueError:
            return self.send(422, {"detail": "not JSON"})
        self.send(200, routes[self.path]())

    def execute(self):
        return {"outputs": kernel.execute(self.body["code"])}

    def restart(self):
        global kernel
        kernel = Kernel()
        return {"status": "restarting"}

    def send(self, status, value):
        payload = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8432"))), Handler)
    threading.Thread(target=end_with_parent, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()
