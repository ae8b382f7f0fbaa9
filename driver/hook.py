"""A vendor's hook as the driver sees it: an executable file that is read, never imported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CALLS = re.compile(rb"(?:-m|import|from|run_module)[\s\"',(\[]{1,8}harness\b")
"""``python3 -m harness`` in a shell's words, in a list of words, and in Python's own."""


def calls_harness(folder: Path) -> bool:
    """Say whether the hook of a vendor's folder can hand a stage over to our harness.

    A program that was compiled says so by the word alone.
    """
    try:
        text = (folder / "hook").read_bytes()
    except OSError:
        return False
    return b"harness" in text if text.startswith(b"\x7fELF") else _CALLS.search(text) is not None
