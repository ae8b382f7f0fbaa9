"""Details in chunks: cut where an added row moves nothing else, kept while all that they show is the same."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver.report.build import ReportOptions, report
from driver.report.details import chunks, kept
from driver.report.details.chunks import Chunks, divided, pack_details
from driver.report.details.kept import KeptDetails, state_of, states_beside
from tests import documents


def results(root: Path, count: int) -> list[str]:
    sizes = range(1, count + 1)
    jobs = [documents.job(batch_size=size) for size in sizes]
    return [str(documents.write(root, documents.document(job=job))) for job in jobs]


def kept_in(file: Path | None, paths: list[str], version: str = "1") -> KeptDetails:
    states = {path: state_of(path) for path in paths}
    return KeptDetails(file, version, results=states, beside=states_beside(paths))


def packed(paths: list[str], file: Path | None = None, **changes: Any) -> Chunks:
    details = kept_in(file, paths)
    given: dict[str, Any] = {"with_series": (), "limit_bytes": 10**6, **changes}
    found = pack_details(paths, kept=details, **given)
    details.write()
    return found


def unpacked(found: Chunks) -> list[dict[str, Any]]:
    return [
        row for text in found.packed for row in json.loads(gzip.decompress(base64.b64decode(text)))
    ]


def test_details_stop_at_the_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    paths = results(tmp_path, 3)
    every = packed(paths)
    some = packed(paths, limit_bytes=len(every.packed[0]) + len(every.packed[1]))
    assert (every.rows, some.rows, every.starts, some.starts) == (3, 2, (0, 1, 2), (0, 1))


def test_an_added_row_changes_only_the_chunk_that_it_is_in() -> None:
    paths = [f"/results/{number:04d}/result.json" for number in range(2000)]
    before = {tuple(part) for part in divided(paths)}
    after = [tuple(part) for part in divided([*paths[:700], "/results/0699b", *paths[700:]])]
    assert sum(map(len, after)) == 2001
    assert max(map(len, after)) <= 2 * chunks.CHUNK_ROWS
    assert len([part for part in after if part not in before]) <= 3


def must_not_read(path: str, **_: object) -> None:
    raise AssertionError(path)


def test_kept_details_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = results(tmp_path / "r", 3)
    first = packed(paths, tmp_path / "kept")
    monkeypatch.setattr(chunks, "details", must_not_read)
    assert packed(paths, tmp_path / "kept") == first


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def audit(path: Path) -> None:
    path.with_name("audit.json").write_text("{}", encoding="utf-8")


def rerun(path: Path) -> None:
    path.with_name("rerun.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("change", [edit, audit, rerun])
def test_what_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    paths = results(tmp_path / "r", 3)
    packed(paths, tmp_path / "kept")
    change(Path(paths[1]))
    monkeypatch.setattr(chunks, "details", must_not_read)
    with pytest.raises(AssertionError):
        packed(paths, tmp_path / "kept")


def test_other_samples_are_read_again(tmp_path: Path) -> None:
    drawn = {"latency": np.arange(1, 1001) * 10**6}
    path, _ = documents.with_samples(tmp_path / "r", drawn)
    (samples,) = path.parent.rglob("*latency*.npy")
    paths = [str(path)]
    (first,) = unpacked(packed(paths, tmp_path / "kept", with_series=paths))
    samples.unlink()
    (second,) = unpacked(packed(paths, tmp_path / "kept", with_series=paths))
    assert (first["latency"][0], second["latency"]) == (1.0, None)


@pytest.mark.parametrize("damage", ["bit", "version", "cut"])
def test_kept_details_that_are_damaged_or_of_other_code_are_ignored(
    tmp_path: Path, damage: str
) -> None:
    paths, file = results(tmp_path / "r", 1), tmp_path / "kept"
    packed(paths, file)
    content = bytearray(file.read_bytes())
    content[-1] ^= damage == "bit"
    file.write_bytes(content[: -1 if damage == "cut" else None])
    found = kept_in(file, paths, "2" if damage == "version" else "1")
    assert found.find(found.key([(paths[0], False)])) is None


def test_details_of_earlier_reports_stay_as_long_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, file = results(tmp_path / "r", 3), tmp_path / "kept"
    for path in paths:
        (text,) = packed([path], file).packed
        monkeypatch.setattr(kept, "MOST_BYTES", int(2.5 * len(text)))
    found = kept_in(file, paths)
    there = [found.find(found.key([(path, False)])) is not None for path in paths]
    assert (sum(there), there[2]) == (2, True)


def test_an_audit_that_is_written_later_makes_the_report_another_one(tmp_path: Path) -> None:
    path = documents.write(tmp_path / "r", documents.document())
    options = ReportOptions(out=tmp_path / "out", home=tmp_path / "home")
    assert [report([tmp_path / "r"], options).up_to_date for _ in range(2)] == [False, True]
    audit(path)
    assert [report([tmp_path / "r"], options).up_to_date for _ in range(2)] == [False, True]
