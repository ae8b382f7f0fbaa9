"""Parses JSON that a guest wrote: limited in size, depth and numbers, and text that can be written again."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from driver.system.untrusted import opener

if TYPE_CHECKING:
    from pathlib import Path

MAX_DEPTH = 64
LARGEST = (1 << 63) - 1
"""The largest integer that every other program can read back."""


def read_json(
    folder: Path, name: str, limit_bytes: int, *, source: opener.Source = opener.Source.GUEST
) -> Any:
    """Return the JSON document ``name`` below ``folder``.

    Raises RefusedFile and OSError as ``opener.opened`` does, and ValueError, which says why, for
    anything but a plain JSON document. Bytes that are not UTF-8 become U+FFFD, since a vendor's tool
    may print any encoding into a message.
    """
    content = opener.read(folder, name, limit_bytes, source=source)
    return parsed(content.decode("utf-8", errors="replace"))


def parsed(text: str) -> Any:
    """Return the document in ``text``; ValueError, which says why, if it is not plain JSON."""
    try:
        document = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    require_plain(document)
    return document


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def require_plain(document: Any) -> None:
    """Raise ValueError, which says why, for a parsed document that no other program could read back."""
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for part in (*value, *value.values())]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
        else:
            _require_plain_value(value)


def _require_plain_value(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number in it is too large")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError("an integer in it has more than 64 bits")
    # A lone surrogate ("\ud800") is text in JSON, but no file can hold it.
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text in it has half a surrogate pair") from None
