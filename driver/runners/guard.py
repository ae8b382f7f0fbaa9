"""Run one command so that none of its processes outlives the driver: `guard.py GRACE_S COMMAND…`.

A program, not a module of the driver: stdlib only, started with `python -I -S`. Its standard input
is a pipe from the driver. When the pipe closes, because the driver wants to stop or was killed with
SIGKILL, the command gets SIGTERM, and GRACE_S later everything gets SIGKILL. When the command ends,
processes that it left behind are killed. Exit status: the command's, or 128 + its signal.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CANNOT_START = 126
STAT_BYTES = 1024
"""More than the line of a process takes up to its parent (proc_pid_stat(5))."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the command of ``sys.argv`` to its end and return its exit status."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    _reset_signals()
    # Orphaned grandchildren are reparented to us instead of init, so that we can find them.
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        # preexec_fn is safe: no thread runs yet.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_guard,  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return CANNOT_START
    ended = _announce_end(child)
    select.select([sys.stdin.fileno(), ended], [], [])
    if child.returncode is None:
        _signal_group(child.pid, signal.SIGTERM)
        select.select([ended], [], [], grace_s)
    _kill_descendants()
    select.select([ended], [], [])
    _reap_adopted()
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def _reset_signals() -> None:
    """Reset signals that `nohup` or a shell's `&` made us ignore: the command starts as in a container."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _die_with_guard() -> None:
    # If somebody kills the guard itself, the kernel kills the command too.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _announce_end(child: subprocess.Popen[bytes]) -> int:
    """Return a file descriptor that becomes readable when the child has ended."""
    ended, ending = os.pipe()

    def wait() -> None:
        child.wait()
        os.close(ending)

    threading.Thread(target=wait, daemon=True).start()
    return ended


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _kill_descendants() -> None:
    """Kill all descendants, again and again: one may fork while we look."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        alive = descendants(os.getpid())
        if not alive:
            return
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def _reap_adopted() -> None:
    """Reap the orphans that were reparented to us, so that no zombies remain."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def descendants(root: int, *, zombies: bool = False) -> list[int]:
    """Return the pids of all live descendants of ``root``, without ``root`` itself; ``zombies``: those too."""
    children: dict[int, list[int]] = {}
    for name in (entry.name for entry in os.scandir("/proc") if entry.name.isdigit()):
        try:
            state, parent = _state_and_parent(name)
        except OSError:
            continue  # it has ended
        if zombies or state not in b"ZX":
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _state_and_parent(pid: str) -> tuple[bytes, int]:
    """Return the state of a process and its parent; all of them are read each time, so without a file object."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        line = os.read(descriptor, STAT_BYTES)
    finally:
        os.close(descriptor)
    # The command's name is in parentheses, and may have some itself.
    state, parent = line[line.rindex(b")") + 1 :].split(None, 2)[:2]
    return state, int(parent)


if __name__ == "__main__":
    sys.exit(main())
