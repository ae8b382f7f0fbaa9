"""`script_server SOCKET PID MODULE…`: runs scripts in processes that it forks; the modules are imported once.

A request (fork_loop) is {"script", "arguments", "path", "environment", "cwd", "out", "err"}. ``environment`` is the whole
one; what it prints is in the files ``out`` and ``err``, which may be the same. A script's exit functions (atexit) are not
called.
"""

import gc
import importlib
import os
import runpy
import sys
import tempfile
import traceback

from fork_loop import serve


def become(request):
    """Turn this process into one that runs the script alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(request["out"], flags, 0o600), 1)
    same = request["err"] == request["out"]
    os.dup2(1 if same else os.open(request["err"], flags, 0o600), 2)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.argv = [request["script"], *request["arguments"]]
    sys.path[:1] = [os.path.dirname(request["script"]), *request["path"]]  # noqa: PTH120


def run(request):
    """Run the script in this process; return its exit status."""
    become(request)
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for name in sys.argv[3:]:
    importlib.import_module(name)
gc.collect()
# What an export leaves is searched for garbage at every step, and with it all that was imported here.
gc.freeze()
serve(*sys.argv[1:3], run)
