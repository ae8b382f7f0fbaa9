"""A finding: a place in a document where two figures, or two statements, do not fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.models.base import Frozen

if TYPE_CHECKING:
    from driver.models.published import FlagperfRow

Kind = Literal["contradiction", "misleading", "rounding", "note"]

COMPUTED = "computed from the document"


class Finding(Frozen):
    """What a rule found.

    ``contradiction``: both cannot hold. ``misleading``: true, but not what its name says.
    ``rounding``: explained by the printed digits. ``note``: what a reader should know.
    ``table``, ``rows`` and ``column`` say where to put the mark, where there is a table.
    """

    case: str = ""
    document: str = ""
    rule: str
    kind: Kind
    where: str
    printed: str
    against: str
    reason: str
    source: str = COMPUTED
    table: str | None = None
    rows: tuple[int, ...] = ()
    column: str | None = None


def label(row: FlagperfRow) -> str:
    """Name a row of a FlagPerf table: tool, precision, batch size."""
    return f"{row.tool} {row.precision} bs {row.bs}"
