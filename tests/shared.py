"""What is slow to make is made once in a test run, by whichever of its processes needs it first."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.file_lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

VARIABLE = "ASSAY_TESTS_SHARED"
"""Names the folder to the processes of one test run."""
LONG = 50
"""Below a temporary folder whose path is longer than so many characters, a socket's may not fit into 107."""
SERVED = "ASSAY_TESTS_PID"
"""The process that all others of the test run end with."""


def share(config: pytest.Config) -> None:
    """Make the folder of this test run, unless the process that started this one has made it."""
    if VARIABLE not in os.environ:
        # Sockets are in it, whose paths must be short.
        short = None if len(tempfile.gettempdir()) < LONG else "/tmp"
        folder = tempfile.mkdtemp(prefix="assay-tests-shared-", dir=short)
        os.environ[VARIABLE] = folder
        os.environ[SERVED] = str(os.getpid())
        config.add_cleanup(lambda: _remove(folder))


def _remove(folder: str) -> None:
    del os.environ[VARIABLE]
    shutil.rmtree(folder, ignore_errors=True)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder ``name`` as ``make`` filled it; others wait for it. What it raises leaves nothing."""
    folder = Path(os.environ[VARIABLE]) / name
    done = folder.with_name(f"{name}.done")
    with locked(folder.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            done.touch()
    return folder
