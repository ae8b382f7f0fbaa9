"""How every bench ends: its own exit code, or that of an expected failure with what to type next."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from driver.console import Console
from driver.errors import AssayError, EnvironmentFault, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType


def ended(bench: Callable[[], int]) -> int:
    """Run a bench and return its exit code; a mistake or a broken machine is no traceback.

    SIGTERM and SIGHUP interrupt as Ctrl-C does, so that temporary folders go and children end.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        return bench()
    except AssayError as error:
        Console().error(error)
        return error.exit_code
    except KeyboardInterrupt:
        Console().fault("interrupted", "the same command again takes what is cached")
        return Interrupted.exit_code


def writable(folder: Path) -> None:
    """Make a folder that the user named; EnvironmentFault where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{folder} cannot be made: {error.strerror}", "name a folder that you own"
        ) from error


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
