"""What the driver knows of a vendor's hook, which it reads but never imports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CALLS = re.compile(rb"(?:-m|import|from|run_module)[\s\"',(\[]{1,8}harness\b")
"""``python3 -m harness`` as a shell command, as an argument list, and as a Python import."""


def calls_harness(folder: Path) -> bool:
    """Whether the hook in a vendor's folder can call our harness.

    In a compiled program the word alone is taken as a sign.
    """
    try:
        text = (folder / "hook").read_bytes()
    except OSError:
        return False
    return b"harness" in text if text.startswith(b"\x7fELF") else _CALLS.search(text) is not None
