"""`python -m driver <verb>`: runs a verb and returns the documented exit code."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from driver import __version__

if TYPE_CHECKING:
    from pathlib import Path

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Imports make many objects and no garbage: with Python's own 700, a tenth of a start is the search for it."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0, or the exit code of the failure (docs/exit-codes.md)."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    from driver.console import finish_streams, prepare_streams
    from driver.system.files import let_guests_read
    from driver.system.interrupts import heed_interrupts

    prepare_streams()
    heed_interrupts()
    let_guests_read()
    code = _run(arguments)
    finish_streams()
    return code


def _run(arguments: list[str] | None) -> int:
    from driver.cli import app
    from driver.console import Console
    from driver.errors import AssayError, Interrupted, disk_faults

    try:
        with disk_faults():
            code = app(args=arguments, standalone_mode=False)
    except AssayError as error:
        Console().error(error)
        return error.exit_code
    except KeyboardInterrupt:
        Console().fault("interrupted", "run the same command again; it continues from the cache")
        return Interrupted.exit_code
    except Exception as error:
        return _unusual(error)
    return code if isinstance(code, int) else 0


def _unusual(error: Exception) -> int:
    """Show a command-line error as such, and anything else as a defect with a paste-ready report."""
    from typer.exceptions import TyperException

    from driver.console import Console
    from driver.errors import EXIT_UNEXPECTED, UsageFault

    if isinstance(error, TyperException):
        Console().usage_fault(error)
        return getattr(error, "exit_code", UsageFault.exit_code)
    try:
        remedy = f"please file an issue with the report in {write_defect_report(error)}"
    except OSError as fault:
        remedy = f"please file an issue; its report could not be written: {fault.strerror}"
    Console().fault(
        f"this is a bug in Assay, not in your command: {type(error).__name__}: {error}", remedy
    )
    return EXIT_UNEXPECTED


def write_defect_report(error: BaseException) -> Path:
    """Write versions, command and traceback to a temporary file and return its path."""
    import platform
    import tempfile
    import traceback
    from pathlib import Path

    text = "\n".join(
        [
            f"assay {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"command: {' '.join(sys.argv[1:])}",
            "",
            *traceback.format_exception(error),
        ]
    )
    with tempfile.NamedTemporaryFile(
        "w", prefix="assay-defect-", suffix=".txt", delete=False, encoding="utf-8"
    ) as stream:
        stream.write(text)
    return Path(stream.name)


if __name__ == "__main__":
    code = main()
    # What is left is not searched for garbage once more, which takes as long as importing a library.
    gc.freeze()
    sys.exit(code)
