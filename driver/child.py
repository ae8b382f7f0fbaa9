"""Child processes that end when we end: tools such as pip and uv, with their output read by line."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

GRACE_SECONDS = 3.0
"""How long a child may take to clean up after SIGTERM before it is killed."""


class ChildFailed(Exception):
    """A child ended with a code other than 0; ``output`` is all that it said."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{argv[0]} ended with {returncode}")
        self.returncode = returncode
        self.output = output

    @property
    def tail(self) -> str:
        """Return the lines that say why, in one: those with "error", else the last three."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        return " ".join((errors or lines)[-3:]) or "it said nothing"


def run_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout_only: bool = False,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a tool to its end and return what it printed (stderr with it, unless ``stdout_only``).

    Whatever ends the wait (Ctrl-C above all) also ends the child. Raises ChildFailed.
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


@contextlib.contextmanager
def _started(
    argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None, stderr: int
) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
    )
    try:
        yield child
    except BaseException:
        end_child(child)
        raise
    finally:
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def end_child(child: subprocess.Popen[str]) -> None:
    """End a child: politely first, then for certain."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
