"""Trends: the results of one configuration in the order of time, across commits, drivers and job ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.aggregate.columns import to_records
from driver.aggregate.groups import grouped
from driver.aggregate.load import load_results
from driver.aggregate.selection import per_job
from driver.report.trend import LINES, POINTS, repeated_rows, trend_lines, trends
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path


def at(day: int, core: float = 100.0, **origin: Any) -> dict[str, Any]:
    key = documents.job()
    stamp = f"2024-01-{day:02}T00:00:00Z"
    return documents.document(
        job=key,
        metrics=documents.metrics(core),
        started_utc=stamp,
        finished_utc=stamp,
        provenance=documents.provenance(key) | origin,
    )


def lines(folder: Path, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    for number, body in enumerate(bodies):
        documents.write(folder / str(number), body)
    table = load_results([folder]).table
    measured = [record for record in to_records(table) if record.p_infer_core is not None]
    return trend_lines(trends(repeated_rows(per_job(table))), grouped(measured))


def test_a_configuration_measured_again_has_a_trend_and_one_result_has_none(
    tmp_path: Path,
) -> None:
    other = documents.document(job=documents.job(batch_size=1))
    (line,) = lines(tmp_path, at(2, 110.0), at(1, 100.0), other)
    assert [point[:2] for point in line["points"]] == [
        ["2024-01-01T00:00:00Z", 100.0],
        ["2024-01-02T00:00:00Z", 110.0],
    ]
    assert line["identity"] == [
        *("nvidia", "A100-SXM4-40GB", "tensorrt", "fp16", 64, "cuda12.1-trt8.6"),
    ]


def test_points_name_their_commit_their_driver_and_their_interval(tmp_path: Path) -> None:
    one = at(1, commit="a" * 40, host_driver={"version": "535.1"})
    two = at(2, commit="b" * 40, host_driver={"version": "550.2"})
    (line,) = lines(tmp_path, one, two)
    assert [point[4:6] for point in line["points"]] == [["a" * 10, "535.1"], ["b" * 10, "550.2"]]
    low, high = line["points"][0][2:4]
    assert 90.0 <= low < 100.0 < high <= 110.0


def test_another_job_id_is_the_same_configuration(tmp_path: Path) -> None:
    """The id hashes the code too, and a trend is about what changed in the code."""
    changed = at(2)
    changed["job"]["id"] = "f" * 16
    changed = documents.document(
        **{k: v for k, v in changed.items() if k not in ("digest", "schema")}
    )
    (line,) = lines(tmp_path, at(1), changed)
    assert len(line["points"]) == 2


def test_results_of_two_hosts_are_two_lines(tmp_path: Path) -> None:
    hosts = [{"name": "lab-a"}, {"name": "lab-b"}]
    assert lines(tmp_path, at(1, host=hosts[0]), at(2, host=hosts[1])) == []
    found = lines(tmp_path / "b", *(at(day, host=host) for day in (3, 4) for host in hosts))
    assert sorted(line["host"] for line in found) == ["lab-a", "lab-b"]


def test_struck_and_edited_results_are_no_points(tmp_path: Path) -> None:
    gate = {"passed": False, "allowed_relative_drop": 0.01, "reason": "too low"}
    failed = at(3)
    failed = documents.document(
        **{k: v for k, v in failed.items() if k not in ("digest", "schema", "status", "gate")},
        status="accuracy_failed",
        gate=gate,
    )
    edited = at(4)
    edited["metrics"]["p_infer_core"] = 9e4
    (line,) = lines(tmp_path, at(1), at(2), failed, edited)
    assert [point[0][8:10] for point in line["points"]] == ["01", "02"]


def test_a_point_that_a_warning_concerns_carries_its_mark(tmp_path: Path) -> None:
    warned = documents.unstable(started_utc="2024-01-02T00:00:00Z")
    (line,) = lines(tmp_path, at(1), warned)
    assert [point[6] for point in line["points"]] == [None, "unstable: p_infer_core ±30 %"]


def test_a_result_without_the_values_of_its_processes_is_a_point_without_an_interval(
    tmp_path: Path,
) -> None:
    bare = at(2)
    bare["metrics"]["spread"] = {}
    bare = documents.document(**{k: v for k, v in bare.items() if k not in ("digest", "schema")})
    (line,) = lines(tmp_path, at(1), bare)
    assert line["points"][1][2:4] == [None, None]


def test_the_page_gets_a_bounded_number_of_lines_and_points(tmp_path: Path) -> None:
    for number in range(POINTS + 5):
        stamp = f"2024-01-01T00:{number // 60:02}:{number % 60:02}Z"
        body = documents.document(started_utc=stamp, finished_utc=stamp)
        documents.write(tmp_path / str(number), body)
    (line,) = trends(repeated_rows(per_job(load_results([tmp_path]).table)))
    assert len(line.records) == POINTS
    assert line.records[-1].started_utc.endswith(f"{(POINTS + 4) % 60:02}Z"), "the newest are kept"
    assert LINES * POINTS * 100 < 400_000, "bytes of the page"
