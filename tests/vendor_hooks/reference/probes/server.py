"""Runs probes in processes that it forks, one after the other: torch and transformers are imported once.

Standard input has a request a line, {"script", "arguments", "path", "scratch",
"environment"}; when a probe has ended, its
exit status is a line of standard output. What it printed is in the files ``out`` and ``err`` of ``scratch``.
"""

import gc
import json
import os
import runpy
import sys
import tempfile
import traceback

import onnx  # noqa: F401
import torch  # noqa: F401
import transformers.models.regnet.modeling_regnet
import transformers.models.vit.modeling_vit  # noqa: F401


def become(request):
    """Turn this process into one that runs the probe alone."""
    scratch = request["scratch"]
    for number, name in ((1, "out"), (2, "err")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(os.path.join(scratch, name), flags, 0o600)  # noqa: PTH118
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    os.environ.update(request["environment"])
    os.environ["PYTHONPATH"] = os.pathsep.join(request["path"])
    sys.argv = [request["script"], *request["arguments"]]
    sys.path[:1] = [os.path.dirname(request["script"]), *request["path"]]  # noqa: PTH120


def run(request):
    """Run the probe in this process; return its exit status."""
    become(request)
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


gc.collect()
# What a probe exports is searched for garbage at every step, and with it all that was imported here.
gc.freeze()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        status = run(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201
