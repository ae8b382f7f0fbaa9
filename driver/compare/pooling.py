"""Which results are one: the same job as far as anything that decides its speed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from driver.aggregate.record import Record


class Configuration(NamedTuple):
    """The key by which folders are paired: what a user means by "the same"."""

    case: str
    precision: str
    batch_size: int
    vendor: str
    chip: str
    engine: str
    tier: str
    weights: str
    data: str
    scenario: str | None

    @property
    def work(self) -> tuple[str, str, int, str | None]:
        """Return case, precision, batch size and load scenario: the part that any two chips can share."""
        return (self.case, self.precision, self.batch_size, self.scenario)


DECIDING: dict[str, str] = {
    "stack": "stack",
    "runner": "runner",
    "host": "host",
    "processor": "processor",
    "driver_version": "host driver",
    "threads": "threads",
    "chips": "number of chips",
    "core_item": "counted item",
    "acc_metric": "metric",
    "weights_sha256": "weights",
    "dataset_sha256": "dataset",
    "onnx_sha256": "ONNX",
    "opset": "opset",
    "export_batch": "exported batch",
    "attention": "attention",
    "input_kind": "input",
    "options": "options of the case",
    "arithmetic": "arithmetic",
    "clock": "clock",
    "in_flight": "batches in flight",
    "simulated": "stand-in",
    "scenario_bound_ms": "latency bound",
    "scenario_token_bound_ms": "latency bound of a token",
}
"""Columns of a record that must also agree, known or not, before results are pooled, and their names."""


class Pool(NamedTuple):
    """Results of one configuration that agree in every deciding fact."""

    configuration: Configuration
    facts: tuple[object, ...]
    records: tuple[Record, ...]


def pooled(records: Iterable[Record]) -> list[Pool]:
    """Return the records in pools, in the order of their first records."""
    found: dict[tuple[Configuration, tuple[object, ...]], list[Record]] = {}
    for record in records:
        key = Configuration(*(getattr(record, name) for name in Configuration._fields))
        facts = tuple(getattr(record, name) for name in DECIDING)
        found.setdefault((key, facts), []).append(record)
    return [Pool(*key, tuple(members)) for key, members in found.items()]


def paired(left: Sequence[Pool], right: Sequence[Pool]) -> list[tuple[Pool, Pool]]:
    """Pair the pools of two folders.

    By configuration or, if none is in both, by case, precision, batch size and scenario. If each side has exactly
    one configuration, the two are paired whatever they are.
    """
    ours, theirs = _configurations(left), _configurations(right)
    if len(ours) == len(theirs) == 1:
        return list(_matched(left, right))
    if any(key in theirs for key in ours):
        same = [key for key in ours if key in theirs]
        return [pair for key in same for pair in _matched(_of(left, key), _of(right, key))]
    return [
        (one, other)
        for one in left
        for other in right
        if one.configuration.work == other.configuration.work
    ]


def _matched(left: Sequence[Pool], right: Sequence[Pool]) -> Iterator[tuple[Pool, Pool]]:
    """Yield the pools with equal facts; of those that have no equal, each with each."""
    equal = [(one, other) for one in left for other in right if one.facts == other.facts]
    yield from equal
    with_equal = {pool.facts for pool, _ in equal}
    yield from (
        (one, other)
        for one in left
        for other in right
        if one.facts not in with_equal and other.facts not in with_equal
    )


def kept_apart(pools: Sequence[Pool]) -> list[str]:
    """Return in words which results look alike and were not pooled, and what differs."""
    return [
        f"{len(alike)} sets of results of {key.case} {key.engine} {key.precision} "
        f"bs{key.batch_size} are not pooled; they differ in {', '.join(_differing(alike))}"
        for key in _configurations(pools)
        for alike in (_of(pools, key),)
        if len(alike) > 1
    ]


def _differing(pools: Sequence[Pool]) -> list[str]:
    columns = zip(*(pool.facts for pool in pools), strict=True)
    named = zip(DECIDING.values(), columns, strict=True)
    return [name for name, values in named if len(set(values)) > 1]


def _configurations(pools: Sequence[Pool]) -> list[Configuration]:
    return list(dict.fromkeys(pool.configuration for pool in pools))


def _of(pools: Sequence[Pool], key: Configuration) -> list[Pool]:
    return [pool for pool in pools if pool.configuration == key]
