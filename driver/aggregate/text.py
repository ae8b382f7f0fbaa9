"""Foreign text made harmless: names come from other machines and may hold anything."""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Terminal control characters, direction overrides, invisible characters and lone surrogates."""


def plain(text: str) -> str:
    r"""Return the text with every control or invisible character spelled out, on one line.

    An escape sequence becomes ``\x1b[31m`` in letters: it is shown, and has no effect.
    """
    return _CONTROLS.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, limit: int = 200) -> str:
    """Return at most ``limit`` characters of the text, made plain, with an ellipsis where cut."""
    clean = plain(text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
