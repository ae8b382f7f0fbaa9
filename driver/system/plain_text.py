"""Makes foreign text harmless: names from other machines may contain anything."""

from __future__ import annotations

import codecs
import io
import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Terminal control characters, direction overrides, invisible characters and lone surrogates."""


def plain(text: str) -> str:
    r"""Return the text on one line, with every control or invisible character escaped.

    An escape sequence becomes the characters ``\x1b[31m``: visible, without effect.
    """
    # Nearly every text, in a fifth of the time.
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return "1 job" or "2 jobs"; ``nouns`` is the plural where it is not ``noun`` with an s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def shortened(text: str, limit: int = 200) -> str:
    """Return at most ``limit`` characters of the escaped text, with an ellipsis if cut."""
    clean = plain(text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


SPELLINGS = {
    "✓": "+",
    "✗": "x",
    "·": "-",
    "→": "->",
    "…": "...",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "≥": ">=",
    "≤": "<=",
    "±": "+/-",
    "µ": "u",
    "¹": "(1)",
    "²": "(2)",
}
"""Characters of our own output, in ASCII for terminals whose encoding lacks them."""


def spelled_out(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Replace what an encoding lacks by its spelling in SPELLINGS, or else by an escape (``\u4e2d``)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        SPELLINGS.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lacking
    ), error.end


def accept_every_character(*streams: object) -> None:
    """Let no output fail for the encoding of a stream (LANG=C, GBK, Latin-1), nor for odd file names."""
    codecs.register_error("assay-spelled-out", spelled_out)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="assay-spelled-out")


def writes_every_character(stream: object) -> bool:
    """Whether a stream is UTF-8 (or has no encoding)."""
    encoding = str(getattr(stream, "encoding", None) or "utf-8")
    return encoding.lower().replace("_", "-").startswith("utf")
