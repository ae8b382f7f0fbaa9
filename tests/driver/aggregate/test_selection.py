"""Which rows a report shows of many: the newest of every job first, however many are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.load import load_results
from driver.aggregate.selection import per_job
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path


def at(day: int, size: int) -> dict[str, object]:
    stamp = f"2024-01-{day:02}T00:00:00Z"
    job = documents.job(batch_size=size)
    return documents.document(job=job, started_utc=stamp, finished_utc=stamp)


def test_fewer_rows_are_the_first_of_more(tmp_path: Path) -> None:
    for day in range(1, 6):
        for size in (1, 2, 4):
            documents.write(tmp_path, at(day if size > 1 else day + 10, size))
    found = per_job(load_results([tmp_path]).table, every=True)
    whole = found.newest(100).tolist()
    assert len(set(whole)) == 15
    for limit in range(16):
        assert found.newest(limit).tolist() == whole[:limit]
    (first, *_) = found.records(found.newest(1))
    assert (first.started_utc[:10], first.batch_size) == ("2024-01-15", 1)
    assert {row.batch_size for row in found.records(found.newest(3))} == {1, 2, 4}
    paths = [row.path for row in found.records(found.newest(7))]
    assert paths == sorted(paths), "records are in the order of the table"
