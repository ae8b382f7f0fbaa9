"""Load scenarios in tables: MLPerf's result with its unit, LoadGen's verdict, marks, both languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.aggregate.scenarios.rows import SCENARIO_HEADERS, scenario_row
from driver.aggregate.tables import scenario_table
from driver.models.result import ScenarioLatency
from tests import documents
from tests.driver.results.scenarios.test_warnings import scenario

if TYPE_CHECKING:
    from pathlib import Path

CHINESE_LETTER = re.compile("[\u4e00-\u9fff]")
FOUND = scenario(
    figure=41.52,
    samples_per_s=41.52,
    latency_ms=ScenarioLatency(p50=5.1, p90=8.1, p99=12.1),
    samples_a_call=1.08,
)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def record(**metrics: Any) -> Record:
        body = documents.document(metrics=documents.metrics(**metrics))
        found = read_record(str(documents.write(tmp_path, body)))
        assert isinstance(found, Record), found
        return found

    return record


def test_a_row_has_the_result_the_verdict_and_the_latencies() -> None:
    assert dict(zip(SCENARIO_HEADERS["en"], scenario_row(FOUND), strict=True)) == {
        "scenario": "server",
        "MLPerf's result": "41.5 samples/s",
        "LoadGen": "VALID",
        "bound (ms)": "15.0",
        "latency p50/p90/p99 (ms)": "5.1 / 8.1 / 12.1",
        "TTFT/TPOT p99 (ms)": "/",
        "samples/s": "41.5",
        "queries": "900",
        "samples a batch": "1.08",
    }


def test_latencies_say_which_percentile() -> None:
    found = scenario(name="singlestream", figure=14.9, latency_bound_ms=None, unit="ms (p90)")
    cells = scenario_row(found)
    assert cells[1:4] == ("14.9 ms (p90)", "VALID", "/")


def test_a_flattened_result_has_the_same_row(make: Any) -> None:
    (row,) = scenario_table([make(scenario=FOUND.model_dump())]).rows
    assert row.cells[4:] == scenario_row(FOUND)


def test_a_run_that_is_not_valid_is_marked_and_says_why(make: Any) -> None:
    found = scenario(figure=41.5, valid=False, reason="Reduce target QPS")
    record = make(scenario=found.model_dump())._replace(marked_figures=("scenario",))
    (row,) = scenario_table([record]).rows
    assert row.cells[5:7] == ("41.5 samples/s !", "INVALID: Reduce target QPS")


def test_other_results_have_no_row(make: Any) -> None:
    assert scenario_table([make()]).rows == ()


def test_the_columns_have_chinese_names() -> None:
    assert len(SCENARIO_HEADERS["zh"]) == len(SCENARIO_HEADERS["en"])
    assert all(CHINESE_LETTER.search(header) for header in SCENARIO_HEADERS["zh"])
