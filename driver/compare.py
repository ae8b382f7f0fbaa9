"""May these two be compared, and which is faster? Pure: two sides in (see ``sides``), a verdict out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from driver.statistics import Interval, median, ratio_interval
from driver.warnings import UNSTABLE_CV

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISE = UNSTABLE_CV
"""Without an interval a difference below this share cannot be told from noise between processes."""


class Comparable(StrEnum):
    """Whether two figures may be set against each other."""

    YES = "yes"
    CAVEATS = "with caveats"
    NO = "no"


class Verdict(StrEnum):
    """What B is against A."""

    FASTER = "faster"
    SLOWER = "slower"
    INDISTINGUISHABLE = "indistinguishable"
    NONE = "no verdict"


class Difference(NamedTuple):
    """A field in which the two differ, both values, and why that matters."""

    field: str
    a: str
    b: str
    severity: Comparable
    reason: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: its facts by name (None: not known), and its figures.

    ``values`` are p_infer_core in items/s, one a process, of all its results; ``refusals`` say why
    the side cannot be compared with anything, ``doubts`` what to keep in mind of it. ``unstated``
    are facts that its document does not give: one of the doubts says so, no field does.
    """

    name: str
    facts: dict[str, str | None]
    values: tuple[float, ...]
    whole: float | None = None
    refusals: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    unstated: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """B against A. ``ratio`` is median(B) ÷ median(A) of p_infer_core, ``interval`` its 95 %."""

    a: Side
    b: Side
    comparable: Comparable
    differences: tuple[Difference, ...]
    refusals: tuple[str, ...]
    doubts: tuple[str, ...]
    verdict: Verdict
    ratio: float | None = None
    interval: Interval | None = None
    whole_ratio: float | None = None

    def passes(self, fail_below: float) -> bool:
        """Say whether B reaches ``fail_below`` × A; what may not be compared never passes."""
        return (
            self.comparable is not Comparable.NO
            and self.ratio is not None
            and self.ratio >= fail_below
        )

    def sentence(self) -> str:
        """Return the verdict in words, with its numbers."""
        if self.ratio is None or self.comparable is Comparable.NO:
            return "no verdict: the two may not be compared"
        change = f"{abs(self.ratio - 1):.1%}"
        if self.interval is None:
            spread = f"no interval: fewer than three processes, {NOISE:.0%} counts as noise"
        else:
            spread = f"95 % interval {self.interval.low:.3f}–{self.interval.high:.3f}"
        if self.verdict is Verdict.INDISTINGUISHABLE:
            return f"B and A are indistinguishable: B ÷ A = {self.ratio:.3f} ({spread})"
        return f"B is {self.verdict} by {change}: B ÷ A = {self.ratio:.3f} ({spread})"


# --- the fields that decide --------------------------------------------------------------------

DECIDING: dict[str, str] = {
    "case": "another model and task",
    "core_item": "the core figure counts another item",
    "metric": "accuracy is another figure",
    "weights": "made-up weights are never set against others",
    "weights_digest": "other weights",
    "data": "made-up data is never set against real data",
    "dataset": "another dataset, or another part of it",
    "chips": "the figures count another number of chips",
}
"""Where these differ the two are not comparable."""

CAVEATS: dict[str, str] = {
    "precision": "another precision: less work for each item",
    "batch_size": "throughput depends on the batch size",
    "clock": "a vendor's tool, or a hook of its own, timed one of them: its loop is not ours",
    "in_flight": "more batches in flight hide more of the host's work",
    "tier": "measured for another length of time",
    "runner": "a container, a process and a cluster cost differently",
    "attention": "the exported attention differs",
    "input": "from files one decodes pictures, the other reads tensors: p_infer_whole differs",
}
"""Where these differ the two are comparable with a caveat."""


def compare(a: Side, b: Side) -> Comparison:
    """Compare two sides by p_infer_core."""
    unstated = a.unstated | b.unstated
    found = _differences(a.facts, b.facts)
    differences = tuple(item for item in found if item.field not in unstated)
    refusals = (*(f"A: {why}" for why in a.refusals), *(f"B: {why}" for why in b.refusals))
    doubts = (*(f"A: {why}" for why in a.doubts), *(f"B: {why}" for why in b.doubts))
    comparable = _comparable(differences, refusals, doubts)
    may = comparable is not Comparable.NO
    ratio = median(b.values) / median(a.values) if may and a.values and b.values else None
    interval = None if ratio is None else ratio_interval(b.values, a.values)
    return Comparison(
        a=a,
        b=b,
        comparable=comparable,
        differences=differences,
        refusals=refusals,
        doubts=doubts,
        verdict=Verdict.NONE if ratio is None else _verdict(ratio, interval),
        ratio=ratio,
        interval=interval,
        whole_ratio=b.whole / a.whole if may and a.whole and b.whole else None,
    )


def _comparable(
    differences: Sequence[Difference], refusals: Sequence[str], doubts: Sequence[str]
) -> Comparable:
    severities = {difference.severity for difference in differences}
    if refusals or Comparable.NO in severities:
        return Comparable.NO
    return Comparable.CAVEATS if doubts or severities else Comparable.YES


def _verdict(ratio: float, interval: Interval | None) -> Verdict:
    low, high = interval or (ratio / (1 + NOISE), ratio * (1 + NOISE))
    if low > 1:
        return Verdict.FASTER
    return Verdict.SLOWER if high < 1 else Verdict.INDISTINGUISHABLE


Facts = dict[str, "str | None"]


def _differences(a: Facts, b: Facts) -> list[Difference]:
    found = [
        Difference(name, a[name] or "not known", b[name] or "not known", severity, reason)
        for name, severity, reason in _listed()
        for severity in (severity if a[name] and b[name] else Comparable.CAVEATS,)
        if a[name] != b[name]
    ]
    return [*found, *chain.from_iterable(rule(a, b) for rule in (_arithmetic, _onnx))]


def _listed() -> list[tuple[str, Comparable, str]]:
    return [(name, Comparable.NO, reason) for name, reason in DECIDING.items()] + [
        (name, Comparable.CAVEATS, reason) for name, reason in CAVEATS.items()
    ]


def _arithmetic(a: Facts, b: Facts) -> list[Difference]:
    """One name, two arithmetics (fp32 that ran as TF32) is a trap; two names are a choice."""
    ours, theirs = a["arithmetic"], b["arithmetic"]
    if ours == theirs:
        return []
    known = ours is not None and theirs is not None
    trap = known and a["precision"] == b["precision"]
    reason = f"both say {a['precision']}, another arithmetic ran" if trap else "what ran differs"
    severity = Comparable.NO if trap else Comparable.CAVEATS
    return [Difference("arithmetic", ours or "not known", theirs or "not known", severity, reason)]


def _onnx(a: Facts, b: Facts) -> list[Difference]:
    """Another ONNX is another model, unless the engines asked for another opset or batch."""
    ours, theirs = a["onnx"], b["onnx"]
    if ours == theirs:
        return []
    exported = (a["export"], a["batch_size"]), (b["export"], b["batch_size"])
    known = ours is not None and theirs is not None
    explained = exported[0] != exported[1]
    if not known or explained:
        reason = "exported as each engine asks" if known else "not stated which file ran"
        severity = Comparable.CAVEATS
    else:
        reason, severity = "exported alike, and yet another model file", Comparable.NO
    return [Difference("onnx", _short(ours), _short(theirs), severity, reason)]


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "not known"
