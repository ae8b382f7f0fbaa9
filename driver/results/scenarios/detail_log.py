"""Reads mlperf_log_detail.txt: a line is ``:::MLLOG`` and an object with ``key``, ``value`` and ``metadata``.

The format is MLPerf's own (loadgen/logging.cc); its submission checker reads it by the same rules: the first line has
the marker, every line with it is valid JSON, and of a key that is there several times the first one counts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from driver.system.untrusted import opener
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from pathlib import Path

MARKER = ":::MLLOG"
DETAIL = "mlperf_log_detail.txt"
DETAIL_BYTES = 64 << 20
"""Real ones are some 30 KB: a line per setting, per figure and per error."""

Logged = dict[str, Any]
"""The first value of each key."""


def read_detail(out: Path, folder: str) -> Logged:
    """Return what LoadGen logged in ``folder`` below a stage's out folder.

    Raises RefusedFile for a log that is missing, may not be read, or is not of this format.
    """
    name = f"{folder}/{DETAIL}"
    try:
        content = opener.read(out, name, DETAIL_BYTES)
    except FileNotFoundError:
        raise RefusedFile(f"{name} of LoadGen is missing") from None
    return parse_detail(content.decode("utf-8", errors="replace"), name)


def parse_detail(text: str, name: str = DETAIL) -> Logged:
    """Return the first value of each key; RefusedFile for a text that is not of this format."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith(MARKER):
        raise RefusedFile(f"{name} does not begin with {MARKER}")
    found: Logged = {}
    for number, line in enumerate(lines, start=1):
        if not line.startswith(MARKER):
            continue
        try:
            entry = json.loads(line.removeprefix(MARKER))
            found.setdefault(entry["key"], entry["value"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RefusedFile(f"{name} line {number} is not an entry of {MARKER}") from None
    return found
