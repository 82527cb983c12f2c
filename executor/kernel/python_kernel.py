"""An ipykernel for executors: what the stock one spends on debugger, history, profile and waits is left out."""

import asyncio
import contextlib
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
import packing
import standard_streams
from vital_parts import VitalParts

# Bound here, because user code may have taken it away by the time that it is needed.
_exit = os._exit


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
        entries = [cell_output.clip(str(entry)) for entry in stb]
        with standard_streams.taken_back():
            super()._showtraceback(etype, cell_output.clip(text_of(evalue)), entries)


def text_of(error):
    try:
        return str(error)
    except Exception:
        return f"<exception str() failed: {type(error).__name__}>"


def failure_reply(error, execution_count):
    """The reply of a cell whose error IPython did not, or could not, make one of."""
    name, text = type(error).__name__, cell_output.clip(text_of(error))
    return {
        "status": "error",
        "ename": name,
        "evalue": text,
        "traceback": [f"{name}: {text}"],
        "execution_count": execution_count,
        "user_expressions": {},
        "payload": [],
    }


class CellKernel(IPythonKernel):
    shell_class = Type(CellShell)
    _execute_sleep = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._pid = os.getpid()
        standard_streams.adopt()
        self._vital_parts = None
        self._request_type = None
        self._answered = False

    def start(self):
        self.shell.exit_now = False
        Kernel.start(self)

    async def dispatch_queue(self):
        while True:
            try:
                await self.process_one()
            except asyncio.CancelledError:
                # Code that cancels all tasks means its own.
                pass
            except Exception:
                # Of an event loop that code asked for, say.
                self.log.exception("A task between cells failed")

    async def dispatch_shell(self, msg):
        """Sees to it that an execution is answered, whatever its code did to the kernel, or else that the kernel ends:
        a request without an answer would cost its whole time limit, and the kernel then."""
        self._request_type, self._answered = None, False
        try:
            await super().dispatch_shell(msg)
            if self._request_type is None or (self._request_type == "execute_request" and not self._answered):
                self._give_up()
            for stream in standard_streams.own():
                stream.prepare_cell()
            standard_streams.lend()
            # A cell that cancels the task that it runs in is over by now; this takes what would hit the next one.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        except BaseException:
            if self._request_type in (None, "execute_request"):
                self._give_up()
            self.log.exception("A request failed")

    def _give_up(self):
        try:
            self.log.critical("Code has broken its kernel, which ends", exc_info=True)
        finally:
            _exit(1)

    def set_parent(self, ident, parent, channel="shell"):
        if channel != "shell":
            super().set_parent(ident, parent, channel)
            return
        cell = extract_header(parent)
        self._request_type = cell["msg_type"]
        executes = self._request_type == "execute_request"
        standard_streams.take_back()
        if executes and self._vital_parts is None:
            self._vital_parts = VitalParts(self, standard_streams.own())
        super().set_parent(ident, parent, channel)
        cell_context.enter_cell(cell)
        if executes:
            interrupts.expect()
            for stream in standard_streams.own():
                stream.begin_cell(cell)

    def pre_handler_hook(self):
        pass

    def post_handler_hook(self):
        pass

    async def execute_request(self, stream, ident, parent):
        try:
            await super().execute_request(stream, ident, parent)
        except BaseException as error:
            # A payload that is not JSON, say.
            self.log.warning("An execution could not be answered as usual", exc_info=True)
            reply = failure_reply(error, self.execution_count)
            self.session.send(stream, "execute_reply", reply, parent, ident=ident)
        self._answered = True

    async def do_execute(self, *args, **kwargs):
        standard_streams.lend()
        # An interrupt that comes while the reply is made would lose it.
        reply = failure = None
        try:
            try:
                reply = await super().do_execute(*args, **kwargs)
            finally:
                interrupts.ignore()
        except BaseException as error:
            interrupts.ignore()
            failure = error
        standard_streams.take_back()
        if os.getpid() != self._pid:
            # The cell forked, and this is the child at the end of its code. The kernel's sockets are the parent's.
            for stream in standard_streams.own():
                stream.flush()
            _exit(0 if failure is None and reply["status"] == "ok" else 1)
        self._vital_parts.put_back()
        if not self._vital_parts.are_intact():
            self._give_up()
        if failure is not None:
            return failure_reply(failure, self.shell.execution_count)
        if reply["status"] == "error":
            reply["evalue"] = cell_output.clip(reply["evalue"])
        return reply

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future):
        with super()._cancel_on_sigint(future):
            interrupts.expect_coroutine()
            yield

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

    def init_sockets(self):
        self.session.pack = packing.pack
        super().init_sockets()

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

    def run(self):
        """Runs until the kernel is to end: neither code that stops its loop nor a task that exits decides that."""
        run = self.start
        while not self.shell.exit_now:
            try:
                run()
            except (KeyboardInterrupt, SystemExit):
                self.log.warning("A task of user code exited")
            run = self.io_loop.start


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
    app.run()
