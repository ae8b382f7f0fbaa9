"""Language models in tables: a row of tokens beside the usual one, in both languages, and none for other cases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.aggregate.table_row import GENERATION_HEADERS, generation_row
from driver.aggregate.tables import token_table
from driver.models.result import Generation, Latency
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path

CHINESE_LETTER = re.compile("[\u4e00-\u9fff]")

FOUND = Generation(
    prompt=64,
    tokens=32,
    ttft_ms=Latency(p50=12.3, p90=14.0, max=20.0, samples=70),
    itl_ms=Latency(p50=1.2, p90=1.5, p99=2.0, max=9.0, samples=2170),
    tpot_ms=1.25,
    p_prefill=5203.4,
    p_decode=800.0,
    goodput=21.53,
    ttft_bound_ms=2000.0,
    tpot_bound_ms=100.0,
    kv_cache_gib=0.25,
)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def record(**metrics: Any) -> Record:
        body = documents.document(metrics=documents.metrics(**metrics))
        found = read_record(str(documents.write(tmp_path, body)))
        assert isinstance(found, Record), found
        return found

    return record


GENERATION = {"generation": FOUND.model_dump(), "latency_ms": FOUND.itl_ms.model_dump()}


def test_a_row_has_percentiles_rates_and_no_figure_that_does_not_exist() -> None:
    cells = dict(zip(GENERATION_HEADERS["en"], generation_row(FOUND), strict=True))
    assert cells == {
        "prompt": "64",
        "tokens": "32",
        "TTFT p50/p90/p99 (ms)": "12.3 / 14.0 / /",
        "ITL p50/p90/p99 (ms)": "1.2 / 1.5 / 2",
        "TPOT (ms)": "1.25",
        "prefill (token/s)": "5203.4",
        "decode (token/s)": "800.0",
        "goodput (request/s)": "21.5",
        "TTFT/TPOT bounds (ms)": "2000/100",
        "MBU": "/",
        "KV cache (GiB)": "0.25",
    }


def test_a_flattened_result_has_the_same_row(make: Any) -> None:
    (row,) = token_table([make(**GENERATION)]).rows
    assert row.cells[4:] == generation_row(FOUND)


def test_a_warning_that_concerns_core_marks_every_figure_that_was_measured(make: Any) -> None:
    found = make(**GENERATION)._replace(marked_figures=("p_infer_core",))
    (row,) = token_table([found]).rows
    assert row.cells[4:] == generation_row(FOUND, ("p_infer_core",))
    cells = dict(zip(GENERATION_HEADERS["en"], row.cells[4:], strict=True))
    assert [name for name, cell in cells.items() if cell.endswith("!")] == [
        *("TTFT p50/p90/p99 (ms)", "ITL p50/p90/p99 (ms)", "TPOT (ms)"),
        *("prefill (token/s)", "decode (token/s)", "goodput (request/s)"),
    ]


def test_a_case_without_bounds_has_no_goodput() -> None:
    without = FOUND.model_copy(update={"goodput": None, "ttft_bound_ms": None})
    cells = dict(zip(GENERATION_HEADERS["en"], generation_row(without), strict=True))
    assert (cells["goodput (request/s)"], cells["TTFT/TPOT bounds (ms)"]) == ("/", "/")


def test_other_cases_have_no_row(make: Any) -> None:
    assert token_table([make()]).rows == ()


def test_the_columns_have_chinese_names() -> None:
    assert len(GENERATION_HEADERS["zh"]) == len(GENERATION_HEADERS["en"])
    assert all(CHINESE_LETTER.search(header) for header in GENERATION_HEADERS["zh"])
