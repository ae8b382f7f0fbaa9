"""Whether two sides are comparable, and which is faster. Pure; ``facts`` makes the sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from driver.compare.difference import FEWEST, NOISE
from driver.compare.speed import SMALLEST, SpeedVerdict, judge
from driver.results.statistics import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.results.statistics import Interval


class Comparable(StrEnum):
    """Whether two figures are comparable."""

    YES = "yes"
    CAVEATS = "with caveats"
    NO = "no"


class Difference(NamedTuple):
    """A field in which the two sides differ, both values, and why that matters."""

    field: str
    a: str
    b: str
    severity: Comparable
    reason: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: its facts by name (None: not known) and its figures.

    ``sessions`` has p_infer_core in items/s of each process, by result; ``whole`` is p_infer_whole in
    items/s, ``loads`` MLPerf's figures of the load scenario that its facts name. ``refusals`` are reasons not to compare the side with anything,
    ``caveats`` what to keep in mind about it. ``unstated`` are facts that its document omits; they
    are reported once as a caveat, not per field.
    """

    name: str
    facts: dict[str, str | None]
    sessions: tuple[tuple[float, ...], ...]
    whole: float | None = None
    loads: tuple[float, ...] = ()
    load_unit: str = ""
    refusals: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    unstated: frozenset[str] = frozenset()

    @property
    def values(self) -> tuple[float, ...]:
        """Return p_infer_core of all processes, items/s."""
        return tuple(chain.from_iterable(self.sessions))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """B compared with A.

    ``ratio`` is median(B) ÷ median(A) of p_infer_core (measured in turns, the mean over the rounds), ``interval`` its 95 % interval, ``whole_ratio``
    the ratio of p_infer_whole. ``shows`` is the smallest difference that these processes can show, and
    ``more`` says how many more would decide. They are None where the sides are not comparable.
    ``smallest`` is the smallest difference that counts; both are shares.
    """

    a: Side
    b: Side
    comparable: Comparable
    differences: tuple[Difference, ...]
    refusals: tuple[str, ...]
    caveats: tuple[str, ...]
    verdict: SpeedVerdict
    ratio: float | None = None
    interval: Interval | None = None
    whole_ratio: float | None = None
    smallest: float = SMALLEST
    shows: float | None = None
    more: str | None = None

    def passes(self, fail_below: float) -> bool:
        """Return whether B reaches ``fail_below`` × A; False if the two are not comparable.

        Two different processors never pass: the bound is meant for two builds on one machine.
        """
        return (
            self.comparable is not Comparable.NO
            and not any(found.field == PROCESSOR for found in self.differences)
            and self.ratio is not None
            and self.ratio >= fail_below
        )

    def sentence(self) -> str:
        """Return the verdict in words, with its numbers."""
        if self.ratio is None or self.comparable is Comparable.NO:
            return "no verdict: the two are not comparable"
        assert self.interval is not None
        interval = f"95 % interval {self.interval.low:.3f}–{self.interval.high:.3f}"
        measured = f"B ÷ A = {self.ratio:.3f} ({interval})"
        if self.verdict is SpeedVerdict.INDISTINGUISHABLE:
            return f"B and A are indistinguishable: {measured}"
        if self.verdict is SpeedVerdict.CANNOT_TELL:
            return f"cannot tell which is faster: {measured}"
        return f"B is {self.verdict} by {abs(self.ratio - 1):.1%}: {measured}"

    def load(self) -> str | None:
        """Return in words how the figures of a load scenario compare, None where a side has none."""
        if self.comparable is Comparable.NO or not self.a.loads or not self.b.loads:
            return None
        a, b = median(self.a.loads), median(self.b.loads)
        scenario = str(self.a.facts["scenario"])
        unit = self.a.load_unit
        better = "less" if unit.startswith("ms") else "more"
        return (
            f"{scenario}: B ÷ A = {b / a:.3f} ({b:.4g} and {a:.4g} {unit}, {better} is better; LoadGen runs once a job, "
            "so there is no interval)"
        )

    def power(self) -> str | None:
        """Return in words what the processes can show and what counts, or None without a verdict."""
        if self.shows is None:
            return None
        shown = f"{_processes(self.a, self.b)} can show a difference of {self.shows:.1%}"
        few = min(len(self.a.values), len(self.b.values)) < FEWEST
        assumed = f", assuming noise of {NOISE:.0%} where there are fewer than three" if few else ""
        return f"{shown}{assumed}; none below {self.smallest:.1%} counts"


def _processes(a: Side, b: Side) -> str:
    counts = len(a.values), len(b.values)
    if counts[0] != counts[1]:
        return f"{counts[0]} and {counts[1]} processes"
    return f"{counts[0]} process{'es' if counts[0] > 1 else ''} of each"


# --- the fields that decide --------------------------------------------------------------------

DECIDING: dict[str, str] = {
    "case": "different models and tasks",
    "core_item": "the core figures count different items",
    "metric": "the accuracies are different metrics",
    "weights": "synthetic weights are never compared with published ones",
    "weights_digest": "different weights",
    "data": "synthetic data is never compared with real data",
    "dataset": "different datasets, or different parts of one",
    "chips": "the figures count different numbers of chips",
    "scenario": "different load scenarios, or latency bounds",
}
"""Facts that make two sides not comparable where they differ, and why."""

CAVEATS: dict[str, str] = {
    "precision": "a lower precision does less work per item",
    "batch_size": "throughput depends on the batch size",
    "clock": "a vendor's tool or a hook timed one of them, with a loop that is not ours",
    "in_flight": "more batches in flight hide more of the host's work",
    "tier": "measured for different lengths of time",
    "runner": "containers, processes and clusters have different overheads",
    "attention": "the attention was exported differently",
    "input": "one decodes images from files, the other reads tensors, so p_infer_whole differs",
}
"""Facts that make two sides comparable only with a caveat where they differ, and why."""

PROCESSOR = "processor"
"""The fact that names the chip if the device is the host's processor."""


def compare(
    a: Side, b: Side, *, smallest: float = SMALLEST, measured_in_turns: bool = False
) -> Comparison:
    """Compare two sides by p_infer_core.

    ``smallest`` is the smallest difference that counts, as a share. ``measured_in_turns`` says that
    session n of A and session n of B were measured next to each other.
    """
    unstated = a.unstated | b.unstated
    found = _differences(a.facts, b.facts)
    differences = tuple(item for item in found if item.field not in unstated)
    refusals = (*(f"A: {why}" for why in a.refusals), *(f"B: {why}" for why in b.refusals))
    caveats = (*(f"A: {why}" for why in a.caveats), *(f"B: {why}" for why in b.caveats))
    comparable = _comparable(differences, refusals, caveats)
    may = comparable is not Comparable.NO
    compared = Comparison(
        a=a,
        b=b,
        comparable=comparable,
        differences=differences,
        refusals=refusals,
        caveats=caveats,
        verdict=SpeedVerdict.NONE,
        whole_ratio=b.whole / a.whole if may and a.whole and b.whole else None,
        smallest=smallest,
    )
    if not may or not a.values or not b.values:
        return compared
    speed = judge(a.sessions, b.sessions, smallest, measured_in_turns=measured_in_turns)
    return replace(compared, **speed._asdict())


def _comparable(
    differences: Sequence[Difference], refusals: Sequence[str], caveats: Sequence[str]
) -> Comparable:
    severities = {difference.severity for difference in differences}
    if refusals or Comparable.NO in severities:
        return Comparable.NO
    return Comparable.CAVEATS if caveats or severities else Comparable.YES


Facts = dict[str, "str | None"]


def _differences(a: Facts, b: Facts) -> list[Difference]:
    found = [
        Difference(name, a[name] or "not known", b[name] or "not known", severity, reason)
        for name, severity, reason in _listed()
        for severity in (severity if a[name] and b[name] else Comparable.CAVEATS,)
        if a[name] != b[name]
    ]
    return [*found, *chain.from_iterable(rule(a, b) for rule in (_processor, _arithmetic, _onnx))]


def _listed() -> list[tuple[str, Comparable, str]]:
    return [(name, Comparable.NO, reason) for name, reason in DECIDING.items()] + [
        (name, Comparable.CAVEATS, reason) for name, reason in CAVEATS.items()
    ]


def _processor(a: Facts, b: Facts) -> list[Difference]:
    """Report different processors, or parts of one: the ratio then says nothing about the stacks."""
    ours, theirs = a.get(PROCESSOR), b.get(PROCESSOR)
    if ours is None or theirs is None or ours == theirs:
        return []
    reason = "different processors, so the ratio compares those, not stacks or engines"
    return [Difference(PROCESSOR, ours, theirs, Comparable.CAVEATS, reason)]


def _arithmetic(a: Facts, b: Facts) -> list[Difference]:
    """Refuse two arithmetics under one precision (fp32 that ran as TF32); else it is a caveat."""
    ours, theirs = a["arithmetic"], b["arithmetic"]
    if ours == theirs:
        return []
    known = ours is not None and theirs is not None
    same_name = known and a["precision"] == b["precision"]
    reason = (
        f"both claim {a['precision']} but ran different arithmetic"
        if same_name
        else "they ran different arithmetic"
    )
    severity = Comparable.NO if same_name else Comparable.CAVEATS
    return [Difference("arithmetic", ours or "not known", theirs or "not known", severity, reason)]


def _onnx(a: Facts, b: Facts) -> list[Difference]:
    """Refuse a different ONNX file, unless the engines requested a different opset or batch."""
    ours, theirs = a["onnx"], b["onnx"]
    if ours == theirs:
        return []
    exported = (a["export"], a["batch_size"]), (b["export"], b["batch_size"])
    known = ours is not None and theirs is not None
    explained = exported[0] != exported[1]
    if not known or explained:
        reason = "each engine exports its own" if known else "the file that ran is not known"
        severity = Comparable.CAVEATS
    else:
        reason, severity = "same export settings, but different model files", Comparable.NO
    return [Difference("onnx", _short(ours), _short(theirs), severity, reason)]


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "not known"
