"""The sides of a comparison: results, folders of results, published figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.problem import Problem
from driver.aggregate.reading import read_record
from driver.aggregate.text import plain
from driver.aggregate.tree import find_results
from driver.compare import Comparison, Side, compare
from driver.errors import UsageFault
from driver.statistics import median

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from driver.aggregate.record import Record
    from driver.compare import Facts
    from driver.published.rows import PublishedFigure

DOUBTFUL = (
    *("unstable", "not_steady", "throttled", "device_shared", "too_short"),
    *("core_disagrees", "whole_exceeds_core", "chip_unconfirmed", "effective_differs"),
)
"""Warnings of a result that its reader must know before comparing it."""


def side_of(
    records: Sequence[Record], name: str = "", same_id: frozenset[str] = frozenset()
) -> Side:
    """Return one or more results of one configuration as a side; their processes are pooled.

    ``same_id`` are ids that several different results claim (see ``_claimed_twice``).
    """
    first = records[0]
    values = [record.core_values or _single(record) for record in records]
    whole = [record.p_infer_whole for record in records if record.p_infer_whole is not None]
    return Side(
        name=name or _name(first, len(records)),
        facts=_facts(first),
        values=tuple(chain.from_iterable(values)),
        whole=median(whole) if whole else None,
        refusals=(*_once(_refusals, records), *_claims(records, same_id)),
        doubts=_once(_doubts, records),
    )


def _claims(records: Sequence[Record], same_id: frozenset[str]) -> list[str]:
    ids = sorted({record.result_id for record in records} & same_id)
    return [f"different results have the id {one}: find out which one was measured" for one in ids]


def _claimed_twice(records: Sequence[Record]) -> frozenset[str]:
    """Return the ids that results with different content have."""
    contents: defaultdict[str, set[str | None]] = defaultdict(set)
    for record in records:
        contents[record.result_id].add(record.digest)
    return frozenset(one for one, digests in contents.items() if len(digests) > 1)


def _single(record: Record) -> tuple[float, ...]:
    return () if record.p_infer_core is None else (record.p_infer_core,)


def _name(record: Record, count: int) -> str:
    what = f"{record.case} {record.vendor} {record.chip} {record.engine} {record.precision}"
    more = f", {count} results" if count > 1 else f", {record.started_utc}"
    return f"{what} bs{record.batch_size}{more}"


def _facts(record: Record) -> Facts:
    return {
        "case": record.case,
        "core_item": record.core_item,
        "metric": record.acc_metric,
        "weights": record.weights,
        "weights_digest": record.weights_sha256,
        "data": record.data,
        "dataset": record.dataset_sha256,
        # Results of before this was written counted one chip too.
        "chips": record.chips or "1",
        "precision": record.precision,
        "arithmetic": record.arithmetic,
        "batch_size": str(record.batch_size),
        "clock": _clock(record),
        "in_flight": record.in_flight,
        "tier": record.tier,
        "runner": record.runner,
        "attention": record.attention,
        "input": record.input_kind,
        "onnx": record.onnx_sha256,
        "export": f"opset {record.opset}, {record.export_batch} batch",
    }


def _clock(record: Record) -> str | None:
    """Two programs that timed themselves are two clocks: each has a loop of its own."""
    if record.clock in (None, "harness"):
        return record.clock
    return f"{record.clock} ({record.vendor} {record.engine})"


def _refusals(record: Record) -> list[str]:
    found = []
    if record.simulated:
        found.append("simulated: a stand-in ran, nothing was measured")
    if record.tier == "smoke":
        found.append("a smoke run is a look, never comparable")
    if record.edited:
        found.append("edited after it was written: its digest does not fit")
    if record.status == "accuracy_failed" or record.gate_passed is False:
        found.append(f"its accuracy failed ({record.gate_reason})")
    elif record.status != "ok":
        found.append(f"its job {record.status} ({record.failure})")
    elif record.p_infer_core is None:
        found.append("it has no p_infer_core")
    return found


def _doubts(record: Record) -> list[str]:
    found = [f"warning {code}" for code in record.warnings if code in DOUBTFUL]
    if record.gate_passed is None:
        found.append("its accuracy was held against nothing")
    if "synthetic" in (record.weights, record.data):
        found.append("synthetic weights or data: speed only, accuracy says little")
    return found


def _once(told: Callable[[Record], list[str]], records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for record in records for text in told(record)))


UNSTATED = (
    "core_item",
    "input",
    "metric",
    "weights_digest",
    "dataset",
    "clock",
    "in_flight",
    "tier",
    "runner",
    "attention",
    "onnx",
    "export",
)
"""What no seed document says of its figures."""


def published_side(figure: PublishedFigure) -> Side:
    """Return a published figure as a side: what its document does not state is not known."""
    facts: Facts = {
        **dict.fromkeys(UNSTATED),
        "case": figure.case,
        "weights": "published",
        "data": "real",
        "chips": None if figure.chips is None else str(figure.chips),
        "precision": figure.precision_name,
        "arithmetic": figure.arithmetic,
        "batch_size": str(figure.batch_size),
    }
    core = figure.p_infer_core
    return Side(
        name=figure.name,
        facts=facts,
        values=() if core is None else (core,),
        whole=figure.p_infer_whole,
        refusals=() if core is not None else ("it prints no p_infer_core",),
        doubts=(f"published as one figure; its document states no {', '.join(UNSTATED)}",),
        unstated=frozenset(UNSTATED),
    )


# --- what is asked for -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Every pair that could be made, what stayed alone on either side, and what could not be read."""

    made: tuple[Comparison, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def passes(self, fail_below: float) -> bool:
        """Say whether every pair passes (exit code 0); a configuration that B lacks does not."""
        return not self.only_a and all(found.passes(fail_below) for found in self.made)


def compare_paths(a: Path, b: Path) -> Comparisons:
    """Compare two results or two folders of results; raises UsageFault where one has none.

    Results of one configuration are pooled. Folders are paired by configuration or, where no two
    agree, by case, precision and batch size. A side with one configuration is paired with the
    other's one, whatever it is: then the answer names what differs.
    """
    (ours, our_problems), (theirs, their_problems) = _read(a), _read(b)
    left, right = _by_configuration(ours), _by_configuration(theirs)
    same_id = _claimed_twice([*ours, *theirs])
    pairs = _pairs(left, right)
    if not pairs:
        raise UsageFault(
            f"{plain(str(a))} and {plain(str(b))} have no case, precision and batch size in common",
            "name two results themselves to see why they may not be compared",
        )
    paired_a, paired_b = {one for one, _ in pairs}, {other for _, other in pairs}
    return Comparisons(
        made=tuple(
            compare(side_of(left[one], same_id=same_id), side_of(right[other], same_id=same_id))
            for one, other in pairs
        ),
        only_a=tuple(_name(left[key][0], len(left[key])) for key in left if key not in paired_a),
        only_b=tuple(_name(right[key][0], len(right[key])) for key in right if key not in paired_b),
        problems=(*our_problems, *their_problems),
    )


def _pairs(
    left: Mapping[Configuration, Sequence[Record]], right: Mapping[Configuration, Sequence[Record]]
) -> list[tuple[Configuration, Configuration]]:
    if len(left) == len(right) == 1:
        return [(next(iter(left)), next(iter(right)))]
    if same := [(key, key) for key in left if key in right]:
        return same
    return [(one, other) for one in left for other in right if one.work == other.work]


def compare_published(a: Path, figures: Sequence[PublishedFigure]) -> Comparisons:
    """Compare results with what others published: A is the published figure, B is ours.

    Pairs agree in case and precision; batch sizes too, where any published figure has the same.
    Raises UsageFault where nobody published a figure for any of the results.
    """
    ours, problems = _read(a)
    same_id = _claimed_twice(ours)
    made = [
        compare(published_side(figure), side_of(records, same_id=same_id))
        for records in _by_configuration(ours).values()
        for figure in _counterparts(records[0], figures)
    ]
    if not made:
        cases = ", ".join(sorted({f"{record.case} in {record.precision}" for record in ours}))
        raise UsageFault(
            f"nobody published a figure for {plain(cases)}",
            "`make published` shows what was published",
        )
    return Comparisons(made=tuple(made), problems=problems)


def _counterparts(record: Record, figures: Sequence[PublishedFigure]) -> list[PublishedFigure]:
    near = [
        figure
        for figure in figures
        if (figure.case, figure.precision_name) == (record.case, record.precision)
    ]
    return [figure for figure in near if figure.batch_size == record.batch_size] or near


def _read(path: Path) -> tuple[list[Record], tuple[Problem, ...]]:
    tree = find_results([path])
    outcomes = [read_record(file.path) for file in tree.files]
    problems = [*tree.problems, *(one for one in outcomes if isinstance(one, Problem))]
    records = _without_copies([one for one in outcomes if not isinstance(one, Problem)])
    if not records:
        why = problems[0].message if problems else "nothing was measured there"
        raise UsageFault(
            f"{plain(str(path))} holds no result that can be used: {plain(why)}",
            "name a result.json, its folder, or a folder of results; `make report` lists all problems",
        )
    return records, tuple(problems)


def _without_copies(records: Sequence[Record]) -> list[Record]:
    """Return the records, one that lies there twice once: its processes would count twice."""
    seen: set[str] = set()
    kept = []
    for record in records:
        # An edited copy still carries the original's digest.
        if record.digest is None or record.edited or record.digest not in seen:
            kept.append(record)
        if record.digest is not None and not record.edited:
            seen.add(record.digest)
    return kept


class Configuration(NamedTuple):
    """What pools results, and what pairs folders."""

    case: str
    precision: str
    batch_size: int
    vendor: str
    chip: str
    engine: str
    tier: str
    weights: str
    data: str

    @property
    def work(self) -> tuple[str, str, int]:
        """Return what two chips can both do."""
        return (self.case, self.precision, self.batch_size)


def _by_configuration(records: Sequence[Record]) -> dict[Configuration, list[Record]]:
    found: dict[Configuration, list[Record]] = {}
    for record in records:
        key = Configuration(*(getattr(record, name) for name in Configuration._fields))
        found.setdefault(key, []).append(record)
    return found
