"""Rows as columns: texts that rows share, and rows that are put together without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from driver.aggregate import columns
from driver.aggregate.load import load_results
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    for size, chip in ((1, "T4"), (2, "A100"), (4, "T4")):
        job = documents.job(batch_size=size, chip=chip)
        origin = documents.provenance(job) | {"rerun_of": "ab" * 32 if size == 2 else None}
        documents.write(tmp_path, documents.document(job=job, provenance=origin))
    return load_results([tmp_path]).table


def test_a_text_that_rows_share_is_one_object(table: pa.Table) -> None:
    by_chip = [record.chip for record in columns.to_records(table) if record.chip == "T4"]
    assert by_chip[0] is by_chip[1]


def test_null_stays_null_among_shared_texts(table: pa.Table) -> None:
    assert [record.failure_kind for record in columns.to_records(table)] == [None] * 3
    assert columns.codes(table.column("failure_kind")).tolist() == [0, 0, 0]
    assert [record.rerun_of for record in columns.to_records(table)] == [None, "ab" * 32, None]
    assert columns.codes(table.column("rerun_of")).tolist() == [0, 1, 0]


@pytest.mark.parametrize("most_runs", [0, 64])
def test_rows_are_arranged_from_parts_with_texts_of_their_own(
    table: pa.Table, most_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MOST_RUNS", most_runs)
    other = pa.table(
        [table.column(name).take([2, 0]).combine_chunks() for name in table.column_names],
        schema=table.schema,
    )
    made = columns.arranged([table, other], np.array([4, 0, 1, 3]))
    one, two, three = columns.to_records(table)
    assert columns.to_records(made) == [one, one, two, three]
    assert made.schema == columns.schema()
