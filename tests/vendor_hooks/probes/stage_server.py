"""`stage_server SOCKET PID MODULE…`: runs stages in processes that it forks, for every Python that has the modules.

Those with a stand-in differ in their own packages alone: what they share, the modules named on the command line (numpy
or torch) and the code of the harness, is imported and compiled here, once. A request (fork_loop) is {"stage", "job",
"environment", "python", "cwd", "log"}. The engine has a process of its own as always. That is a fork too, made before the
stage begins: it waits for what ``python3 -m harness.boundary.enter`` would be called with.
"""

import _imp
import contextlib
import fcntl
import gc
import importlib
import json
import os
import site
import socket
import subprocess
import sys
import sysconfig
import tempfile
import traceback
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

from fork_loop import serve

ENTER = ["-m", "harness.boundary.enter"]
LARGEST = 1 << 17
#: Descriptors that nothing else has here.
FREE = 200
#: The packages that the Pythons with stand-ins share, and find last.
SHARED = sysconfig.get_path("purelib")


class Compiled:
    """The code of files whose text was compiled before, wherever they lie: job folders link to the same ones."""

    def __init__(self):
        self._folders, self._codes = set(), {}
        self._compile = SourceFileLoader.source_to_code
        SourceFileLoader.source_to_code = lambda loader, text, path, **how: (
            self._found(text, path) or self._compile(loader, text, path, **how)
        )

    def add(self, folder):
        """Compile every file of a folder, unless that was done."""
        folder = Path(folder).resolve()
        if folder in self._folders:
            return
        self._folders.add(folder)
        for path in folder.rglob("*.py"):
            text = path.read_bytes()
            if text in self._codes:
                continue
            # What is no Python is the stage's to find.
            with contextlib.suppress(SyntaxError, ValueError):
                self._codes[text] = compile(text, str(path), "exec", dont_inherit=True)

    def _found(self, text, path):
        code = self._codes.get(bytes(text))
        if code is not None:
            # As Python names the file of code that it reads from a .pyc.
            _imp._fix_co_filename(code, path)
        return code


def become(request):
    """Turn this process into one that runs a stage alone."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, descriptor in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["environment"], PYTHONPATH=request["job"])
    tempfile.tempdir = None
    os.chdir(request["cwd"])
    _become_python(request["python"])
    sys.path[:1] = [request["job"]]


def _become_python(python):
    """Find the packages that another Python finds, in its order; what it imports at start is imported now."""
    folder = os.path.dirname(os.path.dirname(python))  # noqa: PTH120
    sys.executable = python
    sys.prefix = sys.exec_prefix = folder
    sys.path.remove(SHARED)
    for packages in site.getsitepackages([folder]):
        site.addsitedir(packages)


class Spare:
    """A fork for the engine: ``Popen`` has it become the process that the harness starts."""

    DEVNULL = subprocess.DEVNULL

    def __init__(self):
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._ours.close()
            _enter(theirs)
        theirs.close()

    def Popen(self, command, *, stdin, env, pass_fds, start_new_session):  # noqa: N802  # as subprocess has it
        """Start the engine's process, as subprocess.Popen does."""
        if command[-3:-1] != ENTER or self._pid is None:
            return subprocess.Popen(
                command,
                stdin=stdin,
                env=env,
                pass_fds=pass_fds,
                start_new_session=start_new_session,
            )
        pid, self._pid = self._pid, None
        asked = {"settings": command[-1], "environment": env, "numbers": list(pass_fds)}
        socket.send_fds(self._ours, [json.dumps(asked).encode()], list(pass_fds))
        return Started(pid)


class Started:
    """What the harness asks of the process that it started."""

    def __init__(self, pid):
        self.pid = pid
        self._code = None

    def wait(self):
        """Wait for its end."""
        self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def poll(self):
        """Its exit code, once somebody has waited for it."""
        return self._code


def _enter(requests):
    """Wait for what to become, in a session of its own; end where the stage needs no engine."""
    os.setsid()
    body, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 8)
    if not body:
        os._exit(0)
    asked = json.loads(body)
    requests.close()
    kept = [fcntl.fcntl(one, fcntl.F_DUPFD, FREE) for one in descriptors]
    os.closerange(3, FREE)
    for one, number in zip(kept, asked["numbers"], strict=True):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(asked["environment"])
    status = 1
    try:
        from harness.boundary.enter import main

        main(asked["settings"])
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(request):
    """Run the stage in this process; return its exit status."""
    become(request)
    # A process that the stage starts would run this program first, as it runs what started it.
    sys.modules["__main__"] = types.ModuleType("__main__")
    spare = Spare()
    from harness.__main__ import main
    from harness.boundary import process

    process.subprocess = spare
    return main([request["stage"], request["job"]])


def prepare(request):
    """Compile what the stage will import."""
    for part in ("harness", "hook", "case"):
        compiled.add(Path(request["job"], part))
    compiled.add(Path(request["python"]).parents[1] / "assay-standins")
    # A stage's search for garbage would take a tenth of a second more with all that was imported here.
    gc.freeze()


for name in sys.argv[3:]:
    importlib.import_module(name)
compiled = Compiled()
gc.collect()
serve(*sys.argv[1:3], run, prepare)
