"""An ipykernel for executors: what the stock one spends on debugger, history, profile and waits is left out."""

import logging
import os
import sys
import types

# The debugger is not served here, and its import costs a third of the start.
_no_debugger = types.ModuleType("ipykernel.debugger")
_no_debugger._is_debugpy_available = False
_no_debugger.Debugger = None
sys.modules["ipykernel.debugger"] = _no_debugger

import zmq
from IPython.core.profiledir import ProfileDir
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.session import extract_header
from traitlets import Type
from traitlets.config import Config

import cell_context
import cell_output
import interrupts


class CellShell(ZMQInteractiveShell):
    displayhook_class = Type(cell_output.CellDisplayHook)
    display_pub_class = Type(cell_output.CellDisplayPublisher)

    async def run_code(self, code_obj, result=None, *, async_=False):
        before = interrupts.allow_coroutine(code_obj) if async_ else interrupts.allow()
        try:
            return await super().run_code(code_obj, result, async_=async_)
        finally:
            interrupts.restore(before)

    def _get_exc_info(self, exc_tuple=None):
        etype, value, traceback = super()._get_exc_info(exc_tuple)
        interrupts.leave_out_handler(traceback)
        return etype, value, traceback

    def _showtraceback(self, etype, evalue, stb):
        super()._showtraceback(etype, cell_output.clip(str(evalue)), [cell_output.clip(entry) for entry in stb])


class CellKernel(IPythonKernel):
    shell_class = Type(CellShell)
    _execute_sleep = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._pid = os.getpid()
        self._cell_streams = (sys.stdout, sys.stderr)

    def start(self):
        self.shell.exit_now = False
        Kernel.start(self)

    def set_parent(self, ident, parent, channel="shell"):
        super().set_parent(ident, parent, channel)
        if channel != "shell":
            return
        cell = extract_header(parent)
        cell_context.enter_cell(cell)
        if cell.get("msg_type") == "execute_request":
            interrupts.expect()
            for stream in self._cell_streams:
                stream.begin_cell(cell)

    async def dispatch_shell(self, msg):
        await super().dispatch_shell(msg)
        for stream in self._cell_streams:
            stream.prepare_cell()

    def pre_handler_hook(self):
        pass

    def post_handler_hook(self):
        pass

    async def do_execute(self, *args, **kwargs):
        # An interrupt that comes while the reply is made would lose it.
        try:
            try:
                reply = await super().do_execute(*args, **kwargs)
            finally:
                interrupts.ignore()
        except KeyboardInterrupt:
            interrupts.ignore()
            self.shell._showtraceback(KeyboardInterrupt, KeyboardInterrupt(), ["KeyboardInterrupt: "])
            reply = {
                "status": "error",
                "ename": "KeyboardInterrupt",
                "evalue": "",
                "traceback": [],
                "execution_count": self.shell.execution_count,
                "user_expressions": {},
                "payload": [],
            }
        if os.getpid() != self._pid:
            # The cell forked, and this is the child at the end of its code. The kernel's sockets are the parent's.
            for stream in self._cell_streams:
                stream.flush()
            os._exit(0 if reply["status"] == "ok" else 1)
        if reply["status"] == "error":
            reply["evalue"] = cell_output.clip(reply["evalue"])
        return reply

    def _initialize_thread_hooks(self):
        # `cell_context.follow_threads` covers more, threads whose `run` is overridden among them.
        pass


class NoProfileDir(ProfileDir):
    """Leaves the user's home alone."""

    def _mkdir(self, path, mode=None):
        return False


class KernelApp(IPKernelApp):
    kernel_class = Type(CellKernel)

    def init_profile_dir(self):
        self.profile_dir = NoProfileDir(parent=self)

    def init_config_files(self):
        pass

    def load_config_file(self, *args, **kwargs):
        pass

    def init_heartbeat(self):
        # The executor knows from the operating system whether the process lives.
        pass

    def log_connection_info(self):
        # Not a terminal: nobody has to be told how to connect.
        self.parent_handle = 1
        super().log_connection_info()

    def init_iopub(self, context):
        self.iopub_socket = context.socket(zmq.PUB)
        self.iopub_socket.linger = 1000
        self.iopub_thread = cell_output.CellIOPubThread(self.iopub_socket, pipe=True)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_io(self):
        # The descriptors behind the standard streams will be the cells'; the log stays where it is.
        log_stream = os.fdopen(os.dup(2), "w", buffering=1)
        for logger in (self.log, logging.getLogger("tornado")):
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler):
                    handler.setStream(log_stream)
        self.outstream_class = "cell_output.CellStream"
        super().init_io()

    def init_code(self):
        # No startup files: what is loaded is the executor's mounted code.
        self.shell.user_ns_hidden.update(self.shell.user_ns)


def run(connection_file, max_text_length):
    """Runs a kernel until it is told to end."""
    sys.argv = ["ipykernel_launcher", "-f", connection_file]
    cell_output.limit_text(max_text_length)
    cell_context.follow_threads()
    config = Config()
    config.InteractiveShell.colors = "nocolor"
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    app = KernelApp.instance(config=config)
    app.initialize(["-f", connection_file])
    interrupts.watch()
    app.start()
