"""Printed cells: the number in one, and which values its digits allow."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

MISSING = frozenset({"", "/", "-"})
"""What the documents print where a figure does not exist."""

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")


def number(printed: str) -> Decimal | None:
    """Return the number in a cell such as ``"26.2%"`` or ``"top1:80.724"``; None if it has none."""
    if printed.strip() in MISSING:
        return None
    found = _NUMBER.search(printed)
    return Decimal(found[0]) if found else None


def pair(printed: str) -> tuple[Decimal | None, Decimal | None]:
    """Return both halves of a cell such as ``"79.0/79.3"`` or ``"-/25.2"``; ``"/"`` is two Nones."""
    left, _, right = printed.partition("/")
    return number(left), number(right)


def half_digit(printed: str) -> Decimal:
    """Return half the weight of the last printed digit: how far off a rounded figure may be."""
    value = number(printed)
    if value is None:
        raise ValueError(f"{printed!r} has no number")
    return Decimal(5).scaleb(_exponent(value) - 1)


def rounds_to(value: Decimal, printed: str) -> bool:
    """Tell whether ``value`` rounds to the printed digits."""
    shown = number(printed)
    return shown is not None and abs(value - shown) <= half_digit(printed)


def cuts_to(value: Decimal, printed: str) -> bool:
    """Tell whether ``value``, cut off after the printed digits, is the printed figure."""
    shown = number(printed)
    if shown is None:
        return False
    return value.quantize(Decimal(1).scaleb(_exponent(shown)), rounding=ROUND_DOWN) == shown


def rounded(value: Decimal, digits: int) -> str:
    """Write a figure with this many decimals; a half is rounded up, as in the documents."""
    return str(value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def scientific(value: Decimal | float) -> str:
    """Write a count of operations the way the documents do: ``6.16e10``, five digits at most."""
    mantissa, _, exponent = f"{value:.4e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a finite number")
    return exponent
