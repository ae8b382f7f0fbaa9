"""The digest that a result carries: whoever edits a figure by hand can be seen."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a document: sorted keys, no blanks, UTF-8, no NaN.

    Raises ValueError when a number is NaN or infinite: JSON has no such numbers.
    """
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass")


def canonical_digest(document: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of the document's canonical JSON without its own ``digest``."""
    body = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(canonical_json(body)).hexdigest()
