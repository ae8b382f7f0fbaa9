"""Runs scripts in processes that it forks, one after the other: what the command line names is imported once.

Standard input has a request a line, {"script", "arguments", "path", "environment", "cwd", "out", "err"}; when a script
has ended, its exit status is a line of standard output. ``environment`` is the whole one; what it prints is in the
files ``out`` and ``err``, which may be the same. A script's exit functions (atexit) are not called.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback


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


for name in sys.argv[1:]:
    importlib.import_module(name)
gc.collect()
# What an export leaves is searched for garbage at every step, and with it all that was imported here.
gc.freeze()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        status = run(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201
