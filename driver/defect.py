"""An unexpected error: a report that can be pasted into an issue, instead of a traceback on the screen."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from pathlib import Path

from driver import __version__


def write_defect_report(error: BaseException) -> Path:
    """Write versions, command and traceback to a file of its own and return its path."""
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
