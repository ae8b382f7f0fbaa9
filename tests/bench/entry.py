"""How every bench ends: with its own exit code, or with an expected failure's code and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.console import Console
from driver.errors import AssayError, EnvironmentFault, Interrupted
from driver.system.interrupts import heed_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ended(bench: Callable[[], int]) -> int:
    """Run a bench and return its exit code; a mistake or a broken machine is no traceback.

    SIGTERM and SIGHUP interrupt as Ctrl-C does, so that temporary folders go and children end.
    """
    heed_interrupts()
    try:
        return bench()
    except AssayError as error:
        Console().error(error)
        return error.exit_code
    except KeyboardInterrupt:
        Console().fault("interrupted", "run the same command again; it continues from the cache")
        return Interrupted.exit_code


def writable(folder: Path) -> None:
    """Make a folder that the user named; EnvironmentFault where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{folder} cannot be made: {error.strerror}", "name a folder that you own"
        ) from error
