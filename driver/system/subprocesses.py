"""Runs tools such as pip and uv as child processes that end when we end; output is read by line."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from typing import IO, TYPE_CHECKING

from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

GRACE_SECONDS = 3.0
"""Seconds between SIGTERM and SIGKILL."""
GRACE_BESIDE_SECONDS = 30.0
"""The same for a child that has children of its own to end, and files to remove."""


class ChildFailed(Exception):
    """A child exited with a code other than 0; ``output`` is everything it printed."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{argv[0]} exited with {returncode}")
        self.returncode = returncode
        self.output = output

    @property
    def tail(self) -> str:
        """Return the last three lines with "error", else the last three lines, joined."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        return " ".join((errors or lines)[-3:]) or "it printed nothing"


def run_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout_only: bool = False,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a tool to its end and return its stdout, with stderr unless ``stdout_only``.

    Whatever interrupts the wait, such as Ctrl-C, also ends the child. Raises ChildFailed.
    """
    errors = subprocess.PIPE if stdout_only else subprocess.STDOUT
    with _started(argv, env=env, cwd=cwd, stderr=errors) as child:
        assert child.stdout is not None
        said: deque[str] = deque()
        drain = threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True)
        drain.start()
        lines = []
        for line in child.stdout:
            lines.append(line)
            if on_line is not None:
                on_line(line.rstrip("\n"))
        drain.join()
        returncode = child.wait()
    output = "".join(lines)
    if returncode != 0:
        raise ChildFailed(argv, returncode, output + "".join(said))
    return output


def run_children(
    argvs: Sequence[Sequence[str]],
    *,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> list[ChildFailed | None]:
    """Run tools side by side to their ends; return for each of them how it failed, None if it did not.

    ``on_line`` gets the lines of all as they come. Whatever ends the wait also ends all children.
    """
    lines: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    outputs: list[list[str]] = [[] for _ in argvs]
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(_started(argv, env=env, cwd=None, stderr=subprocess.STDOUT))
            for argv in argvs
        ]
        for number, child in enumerate(children):
            threading.Thread(target=_drain, args=(number, child, lines), daemon=True).start()
        running = len(children)
        while running:
            number, line = lines.get()
            if line is None:
                running -= 1
                continue
            outputs[number].append(line)
            if on_line is not None:
                on_line(line.rstrip("\n"))
        codes = [child.wait() for child in children]
    return [
        ChildFailed(argv, code, "".join(said)) if code else None
        for argv, code, said in zip(argvs, codes, outputs, strict=True)
    ]


@contextlib.contextmanager
def child_beside(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, on_line: Callable[[str], None]
) -> Iterator[None]:
    """Run a tool beside the block, which ends it: whoever enters it must do without what it fails to do.

    ``on_line`` gets the lines of its stdout from another thread; nobody gets its stderr. A terminal's
    signals do not reach it: interrupted by both, by the terminal and by us, it could not clean up.
    """

    def relay(stdout: IO[str]) -> None:
        for line in stdout:
            on_line(line.rstrip("\n"))

    with _started(argv, env=env, cwd=None, stderr=subprocess.DEVNULL, own_session=True) as child:
        assert child.stdout is not None
        relaying = threading.Thread(target=relay, args=(child.stdout,), daemon=True)
        relaying.start()
        try:
            yield
        finally:
            end_child(child, GRACE_BESIDE_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # children of its own that it has not ended
            relaying.join()


def _drain(
    number: int, child: subprocess.Popen[str], lines: queue.SimpleQueue[tuple[int, str | None]]
) -> None:
    assert child.stdout is not None
    with contextlib.suppress(ValueError):  # it was closed, since the wait was ended
        for line in child.stdout:
            lines.put((number, line))
    lines.put((number, None))


@contextlib.contextmanager
def _started(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stderr: int,
    own_session: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    child = None
    try:
        # An interrupt before we have the child's handle would leave it running.
        with interrupts_deferred():
            child = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                errors="replace",
                start_new_session=own_session,
            )
        yield child
    except BaseException:
        if child is not None:
            end_child(child)
        raise
    finally:
        for stream in (child.stdout, child.stderr) if child else ():
            if stream is not None:
                stream.close()


def end_child(child: subprocess.Popen[str], grace_s: float = GRACE_SECONDS) -> None:
    """End a child: SIGTERM first, then SIGKILL; a second Ctrl-C waits until it is gone."""
    with interrupts_deferred():
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
