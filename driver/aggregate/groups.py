"""Groups of results that share a table: the same work on the same weights and data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from driver.audit.reading import audit_mark, refutation
from driver.published.chinese import said
from driver.rerun.reading import rerun_mark
from driver.system.plain_text import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.record import Record
    from driver.published.columns import Language

SMOKE = "smoke"
NOTE_LENGTH = 110
TIMED_ELSEWHERE = {
    "vendor-tool": "timed by the vendor's tool",
    "hook": "timed by its own hook",
}
"""The mark for a core figure that the harness did not time, by its clock."""


class GroupKey(NamedTuple):
    """What two rows of one table must have in common.

    The exported ONNX is left out: engines choose their own opset and batch, and case, weights and
    dataset already identify the model. `compare` reports a different ONNX.
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


@dataclass(frozen=True)
class Group:
    """The rows of one table, in order, and a title that names what they share."""

    key: GroupKey
    title: str
    records: tuple[Record, ...]

    @cached_property
    def comparable(self) -> tuple[Record, ...]:
        """The rows that count in ratios and best batches, judged once: see ``comparable_rows``."""
        return tuple(comparable_rows(self.records))


def group_key(record: Record) -> GroupKey:
    """Return the key of the group that the record belongs to."""
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


def grouped(records: Iterable[Record], language: Language = "en") -> list[Group]:
    """Return the groups sorted by case; rows are sorted by ``row_order``, then newest first."""
    newest_first = sorted(records, key=lambda record: record.started_utc, reverse=True)
    ordered = sorted(newest_first, key=lambda record: (group_key(record), row_order(record)))
    parts = [(key, tuple(rows)) for key, rows in groupby(ordered, key=group_key)]
    titles = [_title(key, language) for key, _ in parts]
    return [
        Group(
            key, title if titles.count(title) == 1 else f"{title} · {_digests(key, language)}", rows
        )
        for (key, rows), title in zip(parts, titles, strict=True)
    ]


def row_order(record: Record) -> tuple[str, str, str, str, int]:
    """Return the sort key of a row in its table."""
    return (record.vendor, record.chip, record.engine, record.precision, record.batch_size)


def marks(
    record: Record, same_id: frozenset[str] = frozenset(), language: Language = "en"
) -> list[str]:
    """Return the marks shown next to a row: what a reader must know before using its figures."""
    found = [name for name in ("simulated",) if record.simulated]
    if record.weights == "synthetic":
        found.append("synthetic weights")
    if record.data == "synthetic":
        found.append("synthetic data")
    if record.tier == SMOKE:
        found.append("smoke")
    if record.clock in TIMED_ELSEWHERE:
        found.append(TIMED_ELSEWHERE[record.clock])
    found.extend(record.figure_marks)
    if (basis := accuracy_basis(record)) is not None:
        found.append(basis)
    if record.edited:
        found.append("edited")
    if (verdict := rerun_mark(record.path, record.digest, record.rerun_of)) is not None:
        found.append(verdict)
    if record.status == "ok" and (audited := _audited(record)) is not None:
        found.append(audited)
    if record.path in same_id:
        found.append("id not unique")
    return [said(mark, language) for mark in found]


def _audited(record: Record) -> str | None:
    return audit_mark(record.path, record.digest, record.tier)


def host_marks(records: Sequence[Record], language: Language = "en") -> list[str]:
    """Return the host mark of each row of a table; all "" if the table has only one host."""
    if len({record.host for record in records}) < 2:
        return [""] * len(records)
    on, unnamed = said("on {host}", language), said("an unnamed host", language)
    return [on.format(host=record.host or unnamed) for record in records]


def accuracy_basis(record: Record) -> str | None:
    """Return how the accuracy was checked if not against validation's, else None."""
    if record.status != "ok":
        return None
    if record.gate_passed is None:
        return "accuracy not checked"
    # Without validation's accuracy, a gate can only have passed on raw outputs.
    if record.acc_kind == "agreement" or record.acc_val is None:
        return "accuracy checked against fp32 golden outputs"
    return None


def struck(record: Record, language: Language = "en") -> str | None:
    """Return why the figures of a row do not count (a failed gate or job), or None if they do.

    A failure message may end with a log; it is cut to NOTE_LENGTH here, the result has all of it.
    """
    if record.status == "accuracy_failed" or record.gate_passed is False:
        reason = f"accuracy failed: {_missed(record, language) or 'see the result'}"
    elif record.impossible:
        reason = f"not possible: {', '.join(record.figure_marks)}"
    elif record.status == "failed":
        reason = f"failed ({record.failure_kind}): {record.failure}"
    elif record.status == "skipped":
        reason = f"skipped: {record.failure or 'see the result'}"
    elif (why := refutation(record.path, record.digest)) is not None:
        reason = f"its audit does not hold: {why}"
    else:
        return None
    return shortened(said(reason, language), NOTE_LENGTH)


def _missed(record: Record, language: Language) -> str | None:
    """Return what the gate found; results state it in English, so in Chinese its figures say it."""
    if language == "en" or record.gate_reference is None:
        return record.gate_reason or record.failure
    if record.gate_drop is not None and record.acc_infer is not None:
        return (
            f"{record.acc_metric} {record.acc_infer:.2f}，基准 {record.gate_reference:.2f}，"
            f"下降 {record.gate_drop:.2%}，允许 {record.gate_allowed_drop or 0:.0%}"
        )
    if record.cosine_min is not None:
        return f"最小余弦 {record.cosine_min:.6f}，要求 {record.gate_reference:g}"
    return record.gate_reason or record.failure


def comparable_rows(records: Sequence[Record]) -> list[Record]:
    """Return the rows that count in ratios and best batches: neither struck nor edited."""
    return [record for record in records if struck(record) is None and not record.edited]


def _title(key: GroupKey, language: Language) -> str:
    parts = [key.case, f"{key.weights} weights", f"{key.data} data"]
    if key.core_item != "image":
        parts.append(f"core counts {key.core_item}s")
    if key.smoke:
        parts.append("smoke run, not comparable")
    if key.simulated:
        parts.append("SIMULATED")
    return " · ".join(plain(said(part, language)) for part in parts)


def _digests(key: GroupKey, language: Language) -> str:
    digests = (("weights", key.weights_sha256), ("data", key.dataset_sha256))
    return ", ".join(f"{said(name, language)} {digest[:8] or '?'}" for name, digest in digests)
