"""An ipykernel without the waits of the stock one, whose output always carries the cell that it belongs to."""

import sys
import types

# The debugger is not served here, and its import costs a third of the start.
_no_debugger = types.ModuleType("ipykernel.debugger")
_no_debugger._is_debugpy_available = False
_no_debugger.Debugger = None
sys.modules["ipykernel.debugger"] = _no_debugger

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
from ipykernel.iostream import OutStream
from IPython.core.profiledir import ProfileDir
from traitlets.config import Config


class CellStream(OutStream):
    def flush(self):
        if self._buffers:
            super().flush()


class CellKernel(IPythonKernel):
    _execute_sleep = 0

    def start(self):
        self.shell.exit_now = False
        Kernel.start(self)


class NoProfileDir(ProfileDir):
    """Leaves the user's home alone."""

    def _mkdir(self, path, mode=None):
        return False


class KernelApp(IPKernelApp):
    kernel_class = CellKernel

    def init_profile_dir(self):
        self.profile_dir = NoProfileDir(parent=self)

    def init_config_files(self):
        pass

    def load_config_file(self, *args, **kwargs):
        pass

    def log_connection_info(self):
        # Not on a terminal: nobody has to be told how to connect.
        self.parent_handle = 1
        super().log_connection_info()

    def init_heartbeat(self):
        pass

    def init_io(self):
        self.outstream_class = "python_kernel.CellStream"
        super().init_io()


def run(connection_file, max_text_length):
    sys.argv = ["ipykernel_launcher", "-f", connection_file]
    config = Config()
    config.InteractiveShell.colors = "nocolor"
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    app = KernelApp.instance(config=config)
    app.initialize(["-f", connection_file])
    app.start()
