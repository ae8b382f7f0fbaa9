"""The report's files: the same rows in each, nothing dropped silently, untrusted text harmless."""

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

from driver.errors import EnvironmentFault, UsageFault
from driver.report import assets, build
from driver.report.build import ReportFiles, ReportOptions, report
from driver.report.details.of_result import details
from driver.report.markdown import escape
from tests import documents
from tests.driver.report.conftest import HOSTILE, make_tree


class Page(HTMLParser):
    """The elements, attributes and script texts that a browser finds in the file."""

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
    return data_of(page)


def data_of(page: Page) -> dict[str, Any]:
    (text,) = (text for attributes, text in page.scripts if attributes.get("id") == "data")
    found: dict[str, Any] = json.loads(text)
    return found


def file(made: ReportFiles, name: str) -> Path:
    return next(path for path in made.files if path.name == name)


def test_results_and_problems_are_counted(made: ReportFiles) -> None:
    assert (made.results, made.shown, made.problems) == (13, 11, 2)
    assert (made.simulated_left_out, made.synthetic_left_out) == (1, 1)


def test_the_page_loads_nothing(page: Page) -> None:
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


def test_untrusted_names_cannot_close_an_element(
    page: Page, data: dict[str, Any], made: ReportFiles
) -> None:
    assert len([text for attributes, text in page.scripts if "type" not in attributes]) == 2
    shown = data["columns"]["chip"]["values"]
    assert any(name.startswith("<img src=x") and "\\x1b" in name for name in shown)
    assert "\x1b" not in made.html.read_text(encoding="utf-8")


def test_the_page_has_the_provenance_of_every_row(page: Page, data: dict[str, Any]) -> None:
    packed = [text for attributes, text in page.scripts if "data-first-row" in attributes]
    unpacked = [
        row for text in packed for row in json.loads(gzip.decompress(base64.b64decode(text)))
    ]
    assert len(unpacked) == data["rows"] == 11
    assert all(row["provenance"]["export"]["onnx_sha256"] for row in unpacked)


def test_details_have_latency_quantiles_and_the_monitor_series(made: ReportFiles) -> None:
    results = made.html.parents[1] / "results"
    path = next(results.glob("vit_l_16/nvidia/*bs1/*/result.json"))
    found = details(str(path), with_series=True)
    assert found["latency"][0] == 1.0
    assert found["latency"][-1] == 1.999
    assert found["monitor"]["memory_gib"] == [float(t) for t in range(8)]
    assert found["monitor"]["power_w"] == [50.0] * 8


def test_samples_outside_the_result_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"secret")
    sample = {"name": "latency", "file": "../../../../../x.npy", "sha256": "0" * 64, "count": 1}
    path = documents.write(tmp_path, documents.document(samples=[sample]))
    assert details(str(path), with_series=True)["latency"] is None


def test_a_result_that_vanished_is_reported_in_its_details(tmp_path: Path) -> None:
    assert "cannot be read" in details(str(tmp_path / "x"), with_series=True)["gone"]


@pytest.mark.parametrize(
    "monitor",
    [None, {}, {"samples": None}, {"samples": [1, {"t_s": "x"}]}, {"samples": [{"t_s": 1}]}],
)
def test_a_monitor_without_samples_has_no_series(monitor: Any, tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document(monitor=monitor))
    assert details(str(path), with_series=True)["monitor"] is None


def test_csv_and_parquet_hold_the_same_rows(made: ReportFiles) -> None:
    lines = list(csv.DictReader(io.StringIO(file(made, "results.csv").read_text())))
    table = pq.read_table(file(made, "results.parquet"))
    assert len(lines) == table.num_rows == 11
    assert [line["p_infer_core"] for line in lines] == [
        f"{value:g}" if value == int(value) else repr(value)
        for value in table.column("p_infer_core").to_pylist()
    ]
    assert {line["simulated"] for line in lines} == {"false"}


def test_every_format_shows_what_the_warnings_say_of_a_figure(tmp_path: Path) -> None:
    """Once in the table's note, once at the figure, and as columns for those who analyse."""
    documents.write(tmp_path / "r", documents.unstable())
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    text = file(made, "report.md").read_text(encoding="utf-8")
    note = "unstable: p_infer_core ±30 %"
    assert "| 1329.2 ! | 26.2% ! |" in text
    assert "unstable: p\\_infer\\_core ±30 %" in text
    assert note in made.tables[0].rows[0][-1]
    rows = data_of(Page(made.html.read_text(encoding="utf-8")))["columns"]
    assert rows["cells"][4]["values"] == ["1329.2 !"]
    assert rows["marks"]["values"] == [note]
    assert rows["marked"]["values"] == ["p_infer_core; mfu"]
    (line,) = csv.DictReader(io.StringIO(file(made, "results.csv").read_text()))
    assert line["figure_marks"] == note
    assert line["marked_figures"] == "p_infer_core; mfu"
    table = pq.read_table(file(made, "results.parquet"))
    assert table.column("figure_marks").to_pylist() == [[note]]


def test_a_spreadsheet_does_not_read_a_name_as_a_formula(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://example.invalid")'
    documents.write(tmp_path / "r", documents.document(job=documents.job(chip=formula)))
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    (line,) = csv.DictReader(io.StringIO(file(files, "results.csv").read_text()))
    assert line["chip"] == f"'{formula}"


def test_csv_has_no_control_characters(made: ReportFiles) -> None:
    text = file(made, "results.csv").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_markdown_has_the_table_struck_and_escaped(made: ReportFiles) -> None:
    text = file(made, "report.md").read_text(encoding="utf-8")
    assert "| chip | tool | precision | bs | e2e\\_time |" in text
    assert "accuracy failed: too low" in text
    assert re.search(r"~~1329\.2~~", text)
    assert "<img" not in text
    assert "&lt;img" in text
    assert "\x1b" not in text
    assert "best batch" in text
    assert "1 simulated result is left out" in text


def test_a_terminal_gets_the_newest_rows_as_tables(made: ReportFiles) -> None:
    assert {found.title for found in made.tables} == {
        "sam · published weights · real data · smoke run, not comparable",
        "vit_l_16 · published weights · real data",
    }
    assert sum(len(found.rows) for found in made.tables) == 11
    assert [problem.kind.value for problem in made.first_problems] == ["not_json", "edited"]


def test_every_format_lists_the_problems_with_their_reason(
    made: ReportFiles, data: dict[str, Any]
) -> None:
    kinds = [problem[0] for problem in data["problems"]]
    assert sorted(kinds) == ["edited", "not_json"]
    lines = list(csv.DictReader(io.StringIO(file(made, "problems.csv").read_text())))
    assert sorted(line["kind"] for line in lines) == sorted(kinds)
    assert "not complete JSON" in file(made, "report.md").read_text()


def test_simulated_and_synthetic_results_are_shown_on_request_and_marked(tmp_path: Path) -> None:
    asked = ReportOptions(out=tmp_path / "out", simulated=True, synthetic=True)
    files = report([make_tree(tmp_path / "r")], asked)
    assert files.shown == 13
    text = file(files, "report.md").read_text()
    assert "SIMULATED" in text
    for chip, mark in (("stand-in", "simulated"), ("made-up", "synthetic weights")):
        (line,) = (line for line in text.splitlines() if f"nvidia {chip} |" in line)
        assert mark in line


def test_chinese_headings_are_the_published_ones(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.document())
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out", language="zh"))
    assert "| 加速卡 | 推理工具 | precision | bs |" in file(files, "report.md").read_text()


def test_folders_without_results_are_refused_by_name_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "r").mkdir()
    with pytest.raises(UsageFault, match=f"there is no result below {tmp_path}/r") as error:
        report([tmp_path / "r"], ReportOptions(out=tmp_path / "r" / "report"))
    assert "OUT=" in error.value.remedy
    assert "make run" in error.value.remedy
    assert list((tmp_path / "r").iterdir()) == []


def at(day: int, **changes: Any) -> dict[str, Any]:
    """Return a result of a day of January."""
    stamp = f"2024-01-{day:02}T00:00:00Z"
    return documents.document(**{"started_utc": stamp, "finished_utc": stamp, **changes})


def failed_at(day: int, kind: str, message: str, **changes: Any) -> dict[str, Any]:
    failure = {"kind": kind, "stage": "infer", "message": message, "remedy": "again"}
    figures = {"acc_metric": "acc1"}
    return at(day, status="failed", failure=failure, metrics=figures, gate=None, **changes)


def dates(made: ReportFiles) -> list[str]:
    column = data_of(Page(made.html.read_text(encoding="utf-8")))["columns"]["started_utc"]
    return sorted(column["values"][place][8:10] for place in column["which"])


def test_the_newest_valid_result_of_each_job_is_shown_and_all_on_request(tmp_path: Path) -> None:
    edited = at(4)
    edited["metrics"]["p_infer_core"] = 9e4
    for body in (at(1), at(2), at(3, job=documents.job(batch_size=1)), edited):
        documents.write(tmp_path / "r", body)
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    assert dates(made) == ["02", "03"], "an edited result does not stand in for a valid one"
    assert "2 older results of the same job and host are left out: ALL=1" in made.notices[0]
    lines = list(csv.DictReader(io.StringIO(file(made, "results.csv").read_text())))
    assert sorted((line["started_utc"][8:10], line["newest"]) for line in lines) == [
        ("01", "false"),
        ("02", "true"),
        ("03", "true"),
        ("04", "false"),
    ]
    every = report([tmp_path / "r"], ReportOptions(out=tmp_path / "all", every=True))
    assert dates(every) == ["01", "02", "03", "04"]


def test_one_job_on_two_hosts_is_shown_for_each(tmp_path: Path) -> None:
    for day, name in ((1, "lab-7"), (2, "lab-8")):
        origin = documents.provenance(documents.job())
        origin["host"]["name"] = name
        documents.write(tmp_path / "r", at(day, provenance=origin))
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    assert dates(made) == ["01", "02"]
    text = file(made, "report.md").read_text()
    assert "| date | host | runner | stack |" in text
    assert "| 2024-01-01 | lab-7 | docker | cuda12.1-trt8.6 |" in text


def test_failed_and_interrupted_runs_have_a_part_of_their_own(tmp_path: Path) -> None:
    other = documents.job(batch_size=1)
    for body in (
        at(1),
        failed_at(2, "interrupted", "stopped by Ctrl-C"),
        failed_at(3, "out_of_memory", "41 GiB", job=other),
        failed_at(4, "out_of_memory", "42 GiB", job=other),
        failed_at(5, "timeout", "an hour", job=documents.job(batch_size=2)),
        at(6, job=documents.job(batch_size=2)),
    ):
        documents.write(tmp_path / "r", body)
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    assert dates(made) == ["01", "06"]
    rows = data_of(Page(made.html.read_text(encoding="utf-8")))["failed"]["rows"]
    assert [(row[4], row[5]) for row in rows] == [
        ("out_of_memory", "42 GiB"),
        ("interrupted", "stopped by Ctrl-C"),
    ]
    text = file(made, "report.md").read_text()
    assert "## Failed and interrupted runs" in text
    assert "an hour" not in text, "measured since"
    every = report([tmp_path / "r"], ReportOptions(out=tmp_path / "all", every=True))
    assert len(data_of(Page(every.html.read_text()))["failed"]["rows"]) == 4


def test_the_newest_rows_of_every_job_are_kept_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SHOWN_ROWS", 3)
    for day in (1, 2, 3):
        for size in (1, 2):
            stamp = f"2024-01-0{day}T00:00:00Z"
            job = documents.job(batch_size=size)
            body = documents.document(job=job, started_utc=stamp, finished_utc=stamp)
            documents.write(tmp_path / "r", body)
    files = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out", every=True))
    assert dates(files) == ["02", "03", "03"]
    assert "the newest 3 of 6 rows" in files.notices[0]
    assert len(file(files, "results.csv").read_text().splitlines()) == 7


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "r")
    first = report([root], ReportOptions(out=tmp_path / "one"))
    second = report([root], ReportOptions(out=tmp_path / "two"))
    for one, two in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_an_unchanged_report_is_not_written_again(tmp_path: Path) -> None:
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
def test_any_change_rewrites_the_report(tmp_path: Path, change: str) -> None:
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


def test_an_out_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.document())
    (tmp_path / "out").write_text("a file")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))


def test_embedded_files_are_the_pinned_ones() -> None:
    for asset in assets.assets():
        assert hashlib.sha256(asset.path.read_bytes()).hexdigest() == asset.sha256, asset.path


def test_a_different_chart_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    with pytest.raises(EnvironmentFault, match="pins"):
        assets.chart_library()


def test_the_hostile_name_is_hostile() -> None:
    assert "</script>" in HOSTILE
    assert "\x1b" in HOSTILE


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("A100 fp16, 12.5 %", "A100 fp16, 12.5 %"),
        ("a_b", r"a\_b"),
        ("<b>", "&lt;b&gt;"),
        ("a&b", "a&amp;b"),
        ("[x](y)|#`*\\", r"\[x\](y)\|\#\`\*" + "\\\\"),
        ("a\x1bb\n", r"a\\x1bb\\x0a"),
        ("中", "中"),
    ],
)
def test_what_markdown_or_html_would_interpret_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped
