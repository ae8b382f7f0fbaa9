"""results.csv in parts: what did not change is copied from the last report, and the bytes are those of a new one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from driver.report import csv_parts
from driver.report.build import ReportOptions, report
from driver.report.files import csv_texts
from tests import documents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa  # type: ignore[import-untyped]

COUNT = 12


@pytest.fixture
def made_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have parts of two rows; return what counts the rows that are made, of each call."""
    counts: list[int] = []

    def counting(table: pa.Table, lengths: list[int]) -> list[memoryview]:
        counts.append(table.num_rows)
        return csv_texts(table, lengths)

    monkeypatch.setattr(csv_parts, "MOST_ROWS", 2)
    monkeypatch.setattr(csv_parts, "csv_texts", counting)
    return counts


def result(size: int, **changes: Any) -> dict[str, Any]:
    return documents.document(**{"job": documents.job(batch_size=size), **changes})


def results(root: Path) -> list[Path]:
    return [documents.write(root, result(size)) for size in range(1, COUNT + 1)]


def csv_of(root: Path, *, home: bool = True, **options: Any) -> bytes:
    """Report to the folder beside the results; return results.csv."""
    out = root.parent / ("out" if home else "without-home")
    asked = ReportOptions(out=out, home=root.parent / "home" if home else None, **options)
    report([root], asked)
    return (out / "results.csv").read_bytes()


def memory(root: Path) -> Path:
    (file,) = (root.parent / "home" / "cache" / "report-csv").iterdir()
    return file


def add(paths: list[Path]) -> None:
    documents.write(paths[0].parents[4], result(100))


def edit(paths: list[Path]) -> None:
    body = json.loads(paths[3].read_text(encoding="utf-8"))
    body["metrics"]["p_infer_core"] = 12345.6
    paths[3].write_text(json.dumps(body), encoding="utf-8")


def edit_one_digit(paths: list[Path]) -> None:
    """Change a figure in a file that stays as long as it was."""
    text = paths[3].read_text(encoding="utf-8")
    figure = json.dumps(json.loads(text)["metrics"]["p_infer_core"])
    other = f"{figure[:-1]}{'1' if figure[-1] != '1' else '2'}"
    old = f'"p_infer_core": {figure}'
    assert text.count(old) == 1
    paths[3].write_text(text.replace(old, f'"p_infer_core": {other}'), encoding="utf-8")


def sign_another(paths: list[Path]) -> None:
    paths[3].write_text(json.dumps(result(4, metrics=documents.metrics(12345.6))), encoding="utf-8")


def remove(paths: list[Path]) -> None:
    shutil.rmtree(paths[5].parent)


def measure_again(paths: list[Path]) -> None:
    stamp = "2024-03-02T08:00:00Z"
    body = result(6, started_utc=stamp, finished_utc=stamp)
    documents.write(paths[0].parents[4], body)


def break_one(paths: list[Path]) -> None:
    paths[7].write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "change", [add, edit, edit_one_digit, sign_another, remove, measure_again, break_one]
)
def test_after_a_change_the_bytes_are_those_of_a_new_report(
    tmp_path: Path, made_rows: list[int], change: Callable[[list[Path]], None]
) -> None:
    root = tmp_path / "results"
    paths = results(root)
    before = csv_of(root)
    assert sum(made_rows) == COUNT
    made_rows.clear()
    change(paths)
    after = csv_of(root)
    made_again = sum(made_rows)
    assert after != before
    assert after == csv_of(root, home=False)
    # Parts of two rows end after every second row here, so that what follows a change moves as well.
    assert made_again <= COUNT


@pytest.mark.parametrize(("change", "rows"), [(add, 1), (measure_again, 2)])
def test_only_the_parts_of_rows_that_changed_are_made(
    tmp_path: Path,
    made_rows: list[int],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[list[Path]], None],
    rows: int,
) -> None:
    """A result that is measured again also changes the row that was the newest until then."""
    # Every part ends with its first row, whatever was added before it.
    monkeypatch.setattr(csv_parts, "PART_END", "")
    root = tmp_path / "results"
    paths = results(root)
    csv_of(root)
    made_rows.clear()
    change(paths)
    after = csv_of(root)
    assert sum(made_rows) == rows
    assert 0 not in made_rows
    assert after == csv_of(root, home=False)


def test_a_file_that_somebody_changed_is_not_copied_from(
    tmp_path: Path, made_rows: list[int]
) -> None:
    root = tmp_path / "results"
    results(root)
    whole = csv_of(root)
    (tmp_path / "out" / "results.csv").write_bytes(whole.replace(b"nvidia", b"others"))
    made_rows.clear()
    assert csv_of(root) == whole
    assert sum(made_rows) == COUNT


def test_a_part_that_a_disk_damaged_is_made_again(tmp_path: Path, made_rows: list[int]) -> None:
    root = tmp_path / "results"
    results(root)
    whole = csv_of(root)
    file = tmp_path / "out" / "results.csv"
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    file.write_bytes(damaged)
    # As if the disk had changed it, which leaves times and size.
    csv = csv_parts.CsvFile(file, tmp_path / "home", csv_parts_version())
    written = csv._written()
    assert written is not None
    csv._parts = list(written.parts)
    csv.remember()
    made_rows.clear()
    assert csv_of(root) == whole
    assert 0 < sum(made_rows) <= 2


def csv_parts_version() -> str:
    from driver.report.stamp import code_version

    return code_version()


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "version"])
def test_without_the_memory_of_its_parts_all_of_it_is_made(
    tmp_path: Path, made_rows: list[int], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "results"
    results(root)
    csv_of(root)
    file = memory(root)
    content = bytearray(file.read_bytes())
    content[-1] ^= damage == "bit"
    file.write_bytes(content[: -1 if damage == "cut" else None])
    if damage == "gone":
        file.unlink()
    if damage == "version":
        monkeypatch.setattr("driver.report.build.code_version", lambda: "other")
    made_rows.clear()
    add([root / "a" / "b" / "c" / "d" / "result.json"])
    after = csv_of(root)
    assert sum(made_rows) == COUNT + 1
    assert after == csv_of(root, home=False)


def test_each_folder_has_its_own_memory(tmp_path: Path, made_rows: list[int]) -> None:
    root = tmp_path / "results"
    results(root)
    options: dict[str, Any] = {"home": tmp_path / "home", "every": True}
    report([root], ReportOptions(out=tmp_path / "one", **options))
    made_rows.clear()
    report([root], ReportOptions(out=tmp_path / "two", **options))
    assert sum(made_rows) == COUNT
    assert len(list((tmp_path / "home" / "cache" / "report-csv").iterdir())) == 2
