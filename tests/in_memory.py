"""`--in-memory`: temporary files of a test run in a file system of its own in memory, where root may mount one.

Tests write some 10 GB in small files and delete them again, which is a seventh of what the processors do on a disk.
Not in /dev/shm: what a stage opens below /dev is a device to its guard.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from driver.monitors.proc import memory
from driver.monitors.reading import MonitorFormatError
from driver.system.host.cgroup import read_limits

OPTION = "--in-memory"
PREFIX = "assay-mem-"
"""Short: the path of a socket in a test's folder has at most 107 bytes."""
SIZE_BYTES, NEEDED_BYTES = 6 << 30, 12 << 30
"""The most that fits in, where a whole run had 1.7 GB at once; what has to be free, with four tests' stages beside it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        OPTION,
        action="store_true",
        help="write temporary files to memory, as root with 12 GiB free",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Mount a file system, before anything is written; what is started later finds it by TMPDIR, if nobody set that."""
    named = os.environ.get("TMPDIR") or config.option.basetemp
    if not config.getoption(OPTION) or hasattr(config, "workerinput") or named:
        return
    if os.geteuid() == 0 and available_bytes() >= NEEDED_BYTES:
        folder = mounted()
        if folder is not None:
            before = os.environ.get("TMPDIR")
            os.environ["TMPDIR"] = str(folder.path)
            tempfile.tempdir = None
            config.add_cleanup(lambda: _leave(folder, before))


def available_bytes(root: Path = Path("/")) -> int:
    """Return what programs can have of the memory, and of a container's limit; 0 where nothing says it."""
    try:
        used, total = memory((root / "proc/meminfo").read_text(encoding="ascii"))
    except (OSError, MonitorFormatError):
        return 0
    available = total - used
    return min(available, read_limits(root).memory_bytes or available)


class Mounted(NamedTuple):
    """A folder in memory, and the process that removes it when the one that made it has ended, however that ended."""

    path: Path
    keeper: subprocess.Popen[bytes]

    def remove(self) -> None:
        """Remove the folder. What somebody still has open goes when it is closed."""
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()
        self.keeper.wait()


REMOVE = 'read -r _; umount --lazy "$0"; rmdir "$0"'


def mounted() -> Mounted | None:
    """Make a folder in memory, to which anybody may write as to /tmp; None where that is not allowed."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    options = f"mode=1777,size={SIZE_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "assay-tests", str(folder)]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        folder.rmdir()
        return None
    # A session of its own: it outlives Ctrl-C, and whoever kills a group.
    keeper = subprocess.Popen(
        ["sh", "-c", REMOVE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    return Mounted(folder, keeper)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to keep what failed tests wrote, which is gone with its file system."""
    in_memory = Path(os.environ.get("TMPDIR", "")).name.startswith(PREFIX)
    if in_memory and any(terminalreporter.stats.get(kind) for kind in ("failed", "error")):
        terminalreporter.write_line("what failed tests wrote is kept by: TMPDIR=/tmp make test")


def _leave(folder: Mounted, before: str | None) -> None:
    os.environ.pop("TMPDIR", None)
    if before is not None:
        os.environ["TMPDIR"] = before
    tempfile.tempdir = None
    folder.remove()
