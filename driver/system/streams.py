"""Standard streams that are closed, full, or whose reader went away: none of them ends a run."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TextIO

STANDARD = (0, 1, 2)


def open_closed_descriptors() -> None:
    """Open /dev/null as each standard stream that is closed: the next opened file would take its number."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, as those below it are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


class _Unread(io.FileIO):
    """A standard stream whose reader may go away: libraries print to it too, such as the help."""

    def write(self, data: Any) -> int:
        """Write bytes; what nobody reads is dropped."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def opened_again(stream: TextIO | None, number: int) -> TextIO:
    """Return the stream without errors of a reader that went away; one to nowhere if it was closed."""
    if stream is None:
        return open(number, "w", encoding="utf-8", closefd=False)  # a descriptor
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # without PYTHONUNBUFFERED, a buffer is between
    if not isinstance(raw, io.FileIO) or raw.fileno() != number:
        return stream  # a test's
    return io.TextIOWrapper(
        io.BufferedWriter(_Unread(number, "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=bool(stream.line_buffering),
    )


def write(stream: TextIO, text: str) -> OSError | None:
    """Write and flush; return the error of a stream that takes no more, which is then silenced.

    A reader that went away is no error: it has read what it wanted.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except OSError as error:
        _silence(stream)
        return error
    return None


def _silence(stream: TextIO) -> None:
    """Let the stream go nowhere, so that neither a later write nor the flush at the exit fails."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
