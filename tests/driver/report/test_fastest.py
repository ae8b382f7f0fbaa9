"""The fastest of a table is one of those that may be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.aggregate.groups import grouped
from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.report.fastest import fastest
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path


def found(tmp_path: Path, *bodies: dict[str, Any]) -> list[tuple[str, int, float | None]]:
    paths = [documents.write(tmp_path / str(number), body) for number, body in enumerate(bodies)]
    records = [read_record(str(path)) for path in paths]
    groups = grouped([record for record in records if isinstance(record, Record)])
    return [
        (one.tier, one.compared, one.record.p_infer_core if one.record else None)
        for group in groups
        for one in fastest(group)
    ]


def result(core: float, **changes: Any) -> dict[str, Any]:
    return documents.document(**{"metrics": documents.metrics(core), **changes})


def test_a_figure_that_may_not_be_compared_is_never_the_fastest(tmp_path: Path) -> None:
    gate = {"passed": False, "allowed_relative_drop": 0.01, "reason": "too low"}
    edited = result(1.0)
    edited["metrics"]["p_infer_core"] = 9e5
    timed = documents.provenance(documents.job()) | {"core": {"clock": "vendor-tool"}}
    assert found(
        tmp_path,
        result(100.0),
        result(120.0),
        result(900.0, warnings=documents.warned("device_shared")),
        result(901.0, status="accuracy_failed", gate=gate),
        result(902.0, gate={**gate, "passed": None}),
        result(903.0, provenance=timed),
        edited,
    ) == [("standard", 2, 120.0)]


def test_tiers_are_compared_each_by_itself_and_smoke_runs_never(tmp_path: Path) -> None:
    five = {"p_infer_core": {"values": [90.0] * 5, "median": 90.0, "cv": 0.0}}
    figures = documents.metrics(90.0, spread=five)
    assert found(
        tmp_path,
        result(100.0),
        result(90.0, metrics=figures, job=documents.job(tier="official")),
        result(990.0, job=documents.job(tier="smoke")),
    ) == [("official", 1, 90.0), ("standard", 1, 100.0), ("smoke", 0, None)]


def test_stand_ins_have_no_fastest(tmp_path: Path) -> None:
    assert found(tmp_path, result(100.0, simulated=True)) == [("standard", 0, None)]
