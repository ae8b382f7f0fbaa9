"""Fetching wheels with pip: several at once, by hash, under pip's own index, proxy and certificates.

Standard library only: the driver's own environment is made with it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from driver.stacks.install.pip_settings import pip_environment
from driver.system.subprocesses import run_children

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.system.subprocesses import ChildFailed

MOST_AT_ONCE = 4
"""pip takes a processor core while it fetches; more at once would only load the index."""

FIXED = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off")
"""Never a build, never a file without a hash that the lock names."""


class DownloadFailed(Exception):
    """pip could not fetch ``share`` (lines of a lock); ``output`` is what it printed, ``tail`` why."""

    def __init__(self, share: Sequence[str], child: ChildFailed) -> None:
        super().__init__(child.tail)
        self.share = tuple(share)
        self.output = child.output
        self.tail = child.tail


def shares(requirements: Sequence[str]) -> list[Sequence[str]]:
    """Deal lines of a lock to as many pips as there are cores, those with many files in turns."""
    count = min(MOST_AT_ONCE, len(os.sched_getaffinity(0)), len(requirements))
    ordered = sorted(requirements, key=lambda line: -line.count("--hash"))
    return [ordered[number::count] for number in range(count)]


def download(
    dealt: Sequence[Sequence[str]],
    folder: Path,
    *,
    pip: Sequence[str],
    options: Sequence[str] = (),
    on_line: Callable[[str], None] = lambda _line: None,
) -> None:
    """Fetch the wheels of each share of a lock's lines into ``folder``: a share whole, or not at all.

    ``pip`` is the command that starts pip, ``options`` say for which Python and platform. Raises
    DownloadFailed for the first share that failed, when all have ended, and PipConfigUnreadable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as name:
        parts = [Path(name) / str(number) for number in range(len(dealt))]
        commands = []
        for part, lines in zip(parts, dealt, strict=True):
            part.mkdir()
            lock = part / "missing.lock"
            lock.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            target = ("--dest", str(part), "-r", str(lock))
            commands.append((*pip, "download", *FIXED, *options, *target))
        # pip leaves its own folders behind when it is ended: they are here, and go with this one.
        env = {**pip_environment(), "TMPDIR": name}
        failed = run_children(commands, env=env, on_line=on_line)
        for part, failure in zip(parts, failed, strict=True):
            for wheel in part.glob("*.whl") if failure is None else ():
                wheel.replace(folder / wheel.name)
    for lines, failure in zip(dealt, failed, strict=True):
        if failure is not None:
            raise DownloadFailed(lines, failure) from failure
