"""The report's files: the same rows everywhere, nothing dropped silently, foreign text harmless."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from driver.errors import EnvironmentFault
from driver.report import assets, build, details
from driver.report.build import ReportFiles, ReportOptions, report
from tests import documents
from tests.driver.report.conftest import HOSTILE, make_tree


class Page(HTMLParser):
    """What a browser would find in the file: elements, attributes, texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", {}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.scripts:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)


@pytest.fixture(scope="session")
def page(made: ReportFiles) -> Page:
    return Page(made.html.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def data(page: Page) -> dict[str, Any]:
    (text,) = (text for attributes, text in page.scripts if attributes.get("id") == "data")
    found: dict[str, Any] = json.loads(text)
    return found


def file(made: ReportFiles, name: str) -> Path:
    return next(path for path in made.files if path.name == name)


def test_what_was_found_is_counted(made: ReportFiles) -> None:
    assert (made.results, made.shown, made.problems) == (13, 11, 2)
    assert (made.simulated_left_out, made.synthetic_left_out) == (1, 1)


def test_the_page_holds_no_address_that_it_would_load(page: Page) -> None:
    loading = {"src", "srcset", "data", "poster", "action", "background"}
    assert [tag for tag, attributes in page.elements if loading & set(attributes)] == []
    links = [attributes["href"] for _, attributes in page.elements if "href" in attributes]
    assert all(link is not None and link.startswith("#") for link in links)
    assert {"link", "iframe", "object", "embed", "base"} & {
        tag for tag, _ in page.elements
    } == set()


def test_the_policy_allows_the_two_scripts_by_their_hash_and_nothing_else(page: Page) -> None:
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy
    running = [text for attributes, text in page.scripts if "type" not in attributes]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes


def test_foreign_names_end_no_element(page: Page, data: dict[str, Any], made: ReportFiles) -> None:
    assert len([text for attributes, text in page.scripts if "type" not in attributes]) == 2
    shown = data["columns"]["chip"]["values"]
    assert any(name.startswith("<img src=x") and "\\x1b" in name for name in shown)
    assert "\x1b" not in made.html.read_text(encoding="utf-8")


def test_every_rows_provenance_is_in_the_page(page: Page, data: dict[str, Any]) -> None:
    packed = [text for attributes, text in page.scripts if "data-chunk" in attributes]
    unpacked = [
        row for text in packed for row in json.loads(gzip.decompress(base64.b64decode(text)))
    ]
    assert len(unpacked) == data["rows"] == 11
    assert all(row["provenance"]["export"]["onnx_sha256"] for row in unpacked)


def test_details_bring_latency_quantiles_and_the_monitors_series(made: ReportFiles) -> None:
    results = made.html.parents[1] / "results"
    path = next(results.glob("vit_l_16/nvidia/*bs1/*/result.json"))
    found = details.details(str(path), with_series=True)
    assert found["latency"][0] == 1.0
    assert found["latency"][-1] == 1.999
    assert found["monitor"]["memory_gib"] == [float(t) for t in range(8)]
    assert found["monitor"]["power_w"] == [50.0] * 8


def test_samples_outside_of_the_result_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"secret")
    sample = {"name": "latency", "file": "../../../../../x.npy", "sha256": "0" * 64, "count": 1}
    path = documents.write(tmp_path, documents.document(samples=[sample]))
    assert details.details(str(path), with_series=True)["latency"] is None


def test_a_row_that_vanished_meanwhile_says_so(tmp_path: Path) -> None:
    assert "cannot be read" in details.details(str(tmp_path / "x"), with_series=True)["gone"]


@pytest.mark.parametrize(
    "monitor",
    [None, {}, {"samples": None}, {"samples": [1, {"t_s": "x"}]}, {"samples": [{"t_s": 1}]}],
)
def test_a_monitor_that_tells_nothing_has_no_series(monitor: Any, tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document(monitor=monitor))
    assert details.details(str(path), with_series=True)["monitor"] is None


def test_csv_and_parquet_hold_the_same_rows(made: ReportFiles) -> None:
    lines = list(csv.DictReader(io.StringIO(file(made, "results.csv").read_text())))
    table = pq.read_table(file(made, "results.parquet"))
    assert len(lines) == table.num_rows == 11
    assert [line["p_infer_core"] for line in lines] == [
        f"{value:g}" if value == int(value) else repr(value)
        for value in table.column("p_infer_core").to_pylist()
    ]
    assert {line["simulated"] for line in lines} == {"false"}


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://example.invalid")'
    documents.write(tmp_path / "r", documents.document(job=documents.job(chip=formula)))
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    (line,) = csv.DictReader(io.StringIO(file(files, "results.csv").read_text()))
    assert line["chip"] == f"'{formula}"


def test_csv_has_no_control_characters(made: ReportFiles) -> None:
    text = file(made, "results.csv").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_markdown_has_the_seeds_table_struck_and_escaped(made: ReportFiles) -> None:
    text = file(made, "report.md").read_text(encoding="utf-8")
    assert "| chip | tool | precision | bs | e2e\\_time |" in text
    assert "accuracy failed: too low" in text
    assert re.search(r"~~1329\.2~~", text)
    assert "<img" not in text
    assert "&lt;img" in text
    assert "\x1b" not in text
    assert "best batch" in text
    assert "1 simulated results are left out" in text


def test_a_terminal_gets_the_newest_rows_as_tables(made: ReportFiles) -> None:
    assert {found.title for found in made.tables} == {
        "sam · published weights · real data · smoke: a look, not to be compared",
        "vit_l_16 · published weights · real data",
    }
    assert sum(len(found.rows) for found in made.tables) == 11
    assert [problem.kind.value for problem in made.first_problems] == ["not_json", "edited"]


def test_problems_stand_in_all_three_with_their_reason(
    made: ReportFiles, data: dict[str, Any]
) -> None:
    kinds = [problem[0] for problem in data["problems"]]
    assert sorted(kinds) == ["edited", "not_json"]
    lines = list(csv.DictReader(io.StringIO(file(made, "problems.csv").read_text())))
    assert sorted(line["kind"] for line in lines) == sorted(kinds)
    assert "not whole JSON" in file(made, "report.md").read_text()


def test_simulated_and_synthetic_come_on_request_and_are_marked(tmp_path: Path) -> None:
    asked = ReportOptions(out=tmp_path / "out", simulated=True, synthetic=True)
    files = report([make_tree(tmp_path / "r")], asked)
    assert files.shown == 13
    text = file(files, "report.md").read_text()
    assert "SIMULATED" in text
    for chip, mark in (("stand-in", "simulated"), ("made-up", "synthetic weights")):
        (line,) = (line for line in text.splitlines() if f"nvidia {chip} |" in line)
        assert mark in line


def test_chinese_headings_are_the_seeds(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.document())
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out", language="zh"))
    assert "| 加速卡 | 推理工具 | precision | bs |" in file(files, "report.md").read_text()


def test_an_empty_tree_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    assert files.notices == (
        "nothing measured yet: make run measures the small case on this machine; then: make report",
    )
    assert "nothing measured yet" in files.html.read_text()
    assert "nothing measured yet" in file(files, "report.md").read_text()


def test_where_room_is_short_the_newest_of_every_job_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SHOWN_ROWS", 3)
    for day in (1, 2, 3):
        for size in (1, 2):
            stamp = f"2024-01-0{day}T00:00:00Z"
            job = documents.job(batch_size=size)
            body = documents.document(job=job, started_utc=stamp, finished_utc=stamp)
            documents.write(tmp_path / "r", body)
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    found = json.loads(
        next(t for a, t in Page(files.html.read_text()).scripts if a.get("id") == "data")
    )
    column = found["columns"]["started_utc"]
    dates = [column["values"][place][:10] for place in column["which"]]
    assert sorted(dates) == ["2024-01-02", "2024-01-03", "2024-01-03"]
    assert "the newest 3 of 6 rows" in files.notices[0]
    assert len(file(files, "results.csv").read_text().splitlines()) == 7


def test_details_stop_where_the_file_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "CHUNK_ROWS", 1)
    paths = [
        str(documents.write(tmp_path, documents.document(job=documents.job(batch_size=size))))
        for size in (1, 2, 3)
    ]
    every = details.pack_details(paths, with_series=(), limit_bytes=10**6)
    room = len(every.packed[0]) + len(every.packed[1])
    some = details.pack_details(paths, with_series=(), limit_bytes=room)
    assert (every.rows, some.rows) == (3, 2)


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "r")
    first = report([root], ReportOptions(out=tmp_path / "one"))
    second = report([root], ReportOptions(out=tmp_path / "two"))
    for one, two in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_nothing_is_written_again_while_nothing_changed(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "r")
    options = ReportOptions(out=tmp_path / "out", home=tmp_path / "home")
    first = report([root], options)
    times = [path.stat().st_mtime_ns for path in first.files]
    second = report([root], options)
    assert (first.up_to_date, second.up_to_date) == (False, True)
    assert [path.stat().st_mtime_ns for path in second.files] == times
    assert (second.notices, second.tables) == (first.notices, first.tables)
    assert second.first_problems == first.first_problems


@pytest.mark.parametrize("change", ["result", "option", "output", "stamp"])
def test_any_change_writes_it_again(tmp_path: Path, change: str) -> None:
    root = make_tree(tmp_path / "r")
    out = tmp_path / "out"
    report([root], ReportOptions(out=out))
    if change == "result":
        documents.write(root, documents.document(job=documents.job(batch_size=128)))
    if change == "output":
        (out / "report.md").write_text("edited")
    if change == "stamp":
        (out / ".stamp.json").write_text("[]")
    again = report([root], ReportOptions(out=out, simulated=change == "option"))
    assert not again.up_to_date
    assert (out / "report.md").read_text() != "edited"


def test_an_out_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "out").write_text("a file")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))


def test_embedded_files_are_the_pinned_ones() -> None:
    for asset in assets.assets():
        assert hashlib.sha256(asset.path.read_bytes()).hexdigest() == asset.sha256, asset.path


def test_another_chart_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    with pytest.raises(EnvironmentFault, match="pins"):
        assets.chart_library()


def test_the_hostile_name_is_hostile() -> None:
    assert "</script>" in HOSTILE
    assert "\x1b" in HOSTILE
