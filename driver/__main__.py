"""`python -m driver <verb>`: runs a verb and turns what happened into the documented exit code."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from driver.errors import EXIT_UNEXPECTED, AssayError, Interrupted, UsageFault

if TYPE_CHECKING:
    from types import FrameType


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0, or the exit code of the failure (docs/exit-codes.md)."""
    from driver.cli import app
    from driver.console import Console

    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        code = app(args=arguments, standalone_mode=False)
    except AssayError as error:
        Console().error(error)
        return error.exit_code
    except KeyboardInterrupt:
        Console().fault("interrupted", "the same command again takes what is cached")
        return Interrupted.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        return _unusual(error)
    return code if isinstance(code, int) else 0


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _unusual(error: Exception) -> int:
    """Show a command-line mistake as such; anything else is a defect of ours, with a paste-ready report."""
    from typer.exceptions import TyperException

    from driver.console import Console

    if isinstance(error, TyperException):
        Console().usage_fault(error)
        return getattr(error, "exit_code", UsageFault.exit_code)
    from driver.defect import write_defect_report

    path = write_defect_report(error)
    Console().fault(
        f"this is a defect of Assay, not of your command: {type(error).__name__}: {error}",
        f"please file an issue with the report in {path}",
    )
    return EXIT_UNEXPECTED


if __name__ == "__main__":
    sys.exit(main())
