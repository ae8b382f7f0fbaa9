"""Groups of results whose figures may stand in one table: the same work on the same things."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.text import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.record import Record

SMOKE = "smoke"
NOTE_LENGTH = 110
TIMED_ELSEWHERE = {
    "vendor-tool": "timed by the vendor's tool",
    "hook": "timed by its own hook",
}
"""Whose loop gave the core figure, where it was not the harness's."""


class GroupKey(NamedTuple):
    """What must be equal for two rows to stand in one table.

    The exported ONNX is not among it: engines ask for their own opset and batch, and weights,
    dataset and case already say that it is the same model. `compare` names it.
    """

    case: str
    core_item: str
    acc_metric: str
    weights: str
    data: str
    smoke: bool
    simulated: bool
    weights_sha256: str
    dataset_sha256: str


class Group(NamedTuple):
    """A table's rows, in their order, under a title that says what they share."""

    key: GroupKey
    title: str
    records: tuple[Record, ...]


def group_key(record: Record) -> GroupKey:
    """Return what the record may be set beside."""
    return GroupKey(
        case=record.case,
        core_item=record.core_item,
        acc_metric=record.acc_metric,
        weights=record.weights,
        data=record.data,
        smoke=record.tier == SMOKE,
        simulated=record.simulated,
        weights_sha256=record.weights_sha256 or "",
        dataset_sha256=record.dataset_sha256 or "",
    )


def grouped(records: Iterable[Record]) -> list[Group]:
    """Return the groups by case, each with its rows by chip, engine, precision, batch size, newest first."""
    newest_first = sorted(records, key=lambda record: record.started_utc, reverse=True)
    ordered = sorted(newest_first, key=lambda record: (group_key(record), row_order(record)))
    parts = [(key, tuple(rows)) for key, rows in groupby(ordered, key=group_key)]
    titles = [_title(key) for key, _ in parts]
    return [
        Group(key, title if titles.count(title) == 1 else f"{title} · {_digests(key)}", rows)
        for (key, rows), title in zip(parts, titles, strict=True)
    ]


def row_order(record: Record) -> tuple[str, str, str, str, int]:
    """Return the order of rows in a table."""
    return (record.vendor, record.chip, record.engine, record.precision, record.batch_size)


def marks(record: Record, same_id: frozenset[str] = frozenset()) -> list[str]:
    """Return what a reader must know before using a row: shown beside it wherever it stands."""
    found = [name for name in ("simulated",) if record.simulated]
    if record.weights == "synthetic":
        found.append("synthetic weights")
    if record.data == "synthetic":
        found.append("synthetic data")
    if record.tier == SMOKE:
        found.append("smoke")
    if record.clock in TIMED_ELSEWHERE:
        found.append(TIMED_ELSEWHERE[record.clock])
    if (basis := accuracy_basis(record)) is not None:
        found.append(basis)
    if record.edited:
        found.append("edited")
    if record.path in same_id:
        found.append("id not unique")
    return found


def accuracy_basis(record: Record) -> str | None:
    """Return what the accuracy was held against where it was not validation's, else None."""
    if record.status != "ok":
        return None
    if record.gate_passed is None:
        return "accuracy held against nothing"
    # Without an accuracy of validation's a gate can have passed on raw outputs only.
    if record.acc_kind == "agreement" or record.acc_val is None:
        return "accuracy held against fp32 golden outputs"
    return None


def struck(record: Record) -> str | None:
    """Return why a row's figures do not count, or None: a failed gate or a failed job.

    A failure may end with its log: what a table has room for is kept, the result holds all of it.
    """
    if record.status == "accuracy_failed" or record.gate_passed is False:
        why = record.gate_reason or record.failure or "see the result"
        return shortened(f"accuracy failed: {why}", NOTE_LENGTH)
    if record.status == "failed":
        return shortened(f"failed ({record.failure_kind}): {record.failure}", NOTE_LENGTH)
    if record.status == "skipped":
        return shortened(f"skipped: {record.failure or 'see the result'}", NOTE_LENGTH)
    return None


def comparable_rows(records: Sequence[Record]) -> list[Record]:
    """Return the rows whose figures may enter ratios and best batches: none struck, none edited."""
    return [record for record in records if struck(record) is None and not record.edited]


def _title(key: GroupKey) -> str:
    parts = [key.case, f"{key.weights} weights", f"{key.data} data"]
    if key.core_item != "image":
        parts.append(f"core counts {key.core_item}s")
    if key.smoke:
        parts.append("smoke: a look, not to be compared")
    if key.simulated:
        parts.append("SIMULATED")
    return " · ".join(map(plain, parts))


def _digests(key: GroupKey) -> str:
    return f"weights {key.weights_sha256[:8] or '?'}, data {key.dataset_sha256[:8] or '?'}"
