"""`--in-memory`: temporary files of a test run in a file system of its own in memory, where root may mount one.

Tests write some 10 GB in small files and delete them again, which is a seventh of what the processors do on a disk.
Not in /dev/shm: what a stage opens below /dev is a device to its guard.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

OPTION = "--in-memory"
PREFIX = "assay-tests-memory-"
"""A process's number follows."""
NEEDED_BYTES = 12 << 30
"""What has to be free: twice what a whole run has at once, and the stages."""


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
    unmount_old(Path(tempfile.gettempdir()))
    if os.geteuid() == 0 and available_bytes() >= NEEDED_BYTES:
        folder = Path(tempfile.gettempdir(), f"{PREFIX}{os.getpid()}")
        if mount(folder):
            os.environ["TMPDIR"] = str(folder)
            tempfile.tempdir = None
            config.add_cleanup(lambda: _leave(folder))


def available_bytes(text: str | None = None) -> int:
    """Return what programs can have of the memory (/proc/meminfo); 0 where that is not said."""
    if text is None:
        try:
            text = Path("/proc/meminfo").read_text(encoding="ascii")
        except OSError:
            return 0
    found = re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def mount(folder: Path) -> bool:
    """Make a folder in memory; return whether that was allowed. Anybody may write to it, as to /tmp."""
    folder.mkdir()
    options = f"mode=1777,size={NEEDED_BYTES}"
    if _ran("mount", "-t", "tmpfs", "-o", options, "assay-tests", str(folder)):
        return True
    folder.rmdir()
    return False


def unmount_old(within: Path) -> None:
    """Remove the folders of runs that were killed, with what they hold."""
    for folder in within.glob(f"{PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(PREFIX)).exists():
            unmount(folder)


def unmount(folder: Path) -> None:
    """Remove a folder in memory. What somebody still has open goes when it is closed."""
    _ran("umount", "--lazy", str(folder))
    with suppress(OSError):
        folder.rmdir()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to keep what failed tests wrote, which is gone with its file system."""
    in_memory = Path(os.environ.get("TMPDIR", "")).name.startswith(PREFIX)
    if in_memory and any(terminalreporter.stats.get(kind) for kind in ("failed", "error")):
        terminalreporter.write_line("what failed tests wrote is kept by: TMPDIR=/tmp make test")


def _leave(folder: Path) -> None:
    del os.environ["TMPDIR"]
    tempfile.tempdir = None
    unmount(folder)


def _ran(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
