"""Reads what a stage left for the driver: report, progress, samples, archives, log. A guest wrote all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from driver.system.untrusted import documents, opener
from driver.system.untrusted.arrays import BadArray, headers, opened_archive, read_samples
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.report import Measurement

REPORT_BYTES = 16 << 20
"""Real reports are a few KB; a larger one is refused."""
PROGRESS_BYTES = 64 << 10
LOG_BYTES = 64 << 20
"""A log is cut at half of this while it is written."""
LOG_TAIL_BYTES = 8192
ARCHIVES = ("predictions.npz", "raw.npz")

Samples = dict[str, "NDArray[np.int64]"]
"""The samples of each loop by its name, shape [N], ns."""


class LeftReport(NamedTuple):
    """What a stage left as report.json: its text, or why it is refused; neither if there is none."""

    text: str | None = None
    refused: str | None = None


def read_left_report(out: Path) -> LeftReport:
    """Return what a stage left as report.json in its out folder. Raises OSError for a fault of the disk."""
    try:
        content = opener.read(out, "report.json", REPORT_BYTES)
    except RefusedFile as error:
        return LeftReport(refused=str(error))
    except FileNotFoundError:
        return LeftReport()
    return LeftReport(text=content.decode("utf-8", errors="replace"))


def read_progress_document(out: Path) -> Any:
    """Return the document in progress.json, None while there is none or it is half written.

    Raises RefusedFile for anything but a small file.
    """
    try:
        return documents.read_json(out, "progress.json", PROGRESS_BYTES)
    except (OSError, ValueError):
        return None


def read_loops_samples(out: Path, loops: Iterable[Measurement]) -> Samples:
    """Return the samples of the loops that have some.

    Raises RefusedFile for a file that is missing, may not be read or holds no samples.
    """
    found: Samples = {}
    for loop in loops:
        if loop.samples is None:
            continue
        try:
            found[loop.name] = read_samples(out, loop.samples)
        except FileNotFoundError:
            raise RefusedFile(f"{loop.samples} of the {loop.name} loop is missing") from None
        except BadArray as error:
            raise RefusedFile(f"{loop.samples} {error}") from error
    return found


def require_plain(out: Path) -> None:
    """Raise RefusedFile unless the out folder holds files and folders alone, and its archives arrays.

    Scoring reads the archives where the labels and the golden outputs are: a link there would name them.
    """
    odd = opener.usage(out).odd
    if odd is not None:
        raise RefusedFile(f"its out folder has {odd}")
    for name in ARCHIVES:
        try:
            with opened_archive(out, name) as archive:
                for _ in headers(archive):
                    pass
        except FileNotFoundError:
            continue
        except BadArray as error:
            raise RefusedFile(f"{name} {error}") from error


def log_tail(folder: Path, name: str, limit_bytes: int = LOG_TAIL_BYTES) -> str:
    """Return the end of the log ``name`` in ``folder``, "" if there is none that may be read."""
    try:
        with opener.opened(folder, name, LOG_BYTES) as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - limit_bytes))
            return stream.read(limit_bytes).decode("utf-8", errors="replace")
    except (RefusedFile, OSError):
        return ""
