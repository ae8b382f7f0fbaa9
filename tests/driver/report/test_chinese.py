"""LANG=zh: no English header, explanation, title or label of ours remains where a Chinese one exists."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.groups import marks, struck
from driver.aggregate.reading import read_record
from driver.aggregate.record import Record
from driver.published.chinese import CHINESE, said
from driver.published.columns import FLAGPERF
from driver.report.build import ReportFiles, ReportOptions, report
from driver.report.chinese import CHART_TITLES, PAGE
from driver.report.failed import FAILED_HEADERS
from driver.report.headings import HEADINGS
from driver.report.markdown import PROBLEM_HEADERS
from driver.report.page import FOLDER
from driver.results.concerns import CONCERNS
from tests import documents
from tests.driver.published_figure import FIGURE_OF_000
from tests.driver.report.conftest import make_tree

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = sorted(FOLDER.glob("*.js"))
TEMPLATE = (FOLDER / "page.html.j2").read_text(encoding="utf-8")
CHINESE_LETTER = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    folder = tmp_path_factory.mktemp("chinese")
    root = make_tree(folder / "results")
    failure = {"kind": "interrupted", "stage": "infer", "message": "stopped", "remedy": "again"}
    stopped = documents.job(case="sam", batch_size=3)
    documents.write(
        root,
        documents.document(
            job=stopped, status="failed", failure=failure, metrics={"acc_metric": "acc1"}, gate=None
        ),
    )
    options = ReportOptions(
        out=folder / "out",
        language="zh",
        simulated=True,
        synthetic=True,
        published=(FIGURE_OF_000,),
    )
    return report([root], options)


def data_of(made: ReportFiles) -> dict[str, Any]:
    text = made.html.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_text_of_the_scripts_has_a_chinese_one(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    asked = re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', text)
    asked += [
        one for pair in re.findall(r'\bt\([^"\n]*\? "([^"]*)" : "([^"]*)"', text) for one in pair
    ]
    headers = re.findall(r"\[((?:\"[^\"]+\"(?:, )?)+)\]\.map\(\(header\) => t\(header\)\)", text)
    asked += [one for listed in headers for one in re.findall(r'"([^"]+)"', listed)]
    titles = re.findall(r'definitions\("([^"]+)"', text)
    labels = (
        re.findall(r'^    \["([a-z][^"]*)", ', text, re.M) if script.name == "details.js" else []
    )
    assert [one for one in asked + titles if one not in PAGE and one not in FLAGPERF] == []
    assert [one for one in labels if one not in PAGE and one != "p_infer_core"] == []


def test_every_text_of_the_template_has_a_chinese_one() -> None:
    asked = re.findall(r"\bt\('([^']*)'\)", TEMPLATE)
    assert len(asked) > 20
    assert [one for one in asked if one not in PAGE] == []
    assert [title for _, title in CHART_TITLES if title not in PAGE] == []


def test_the_template_and_the_scripts_have_no_text_outside_of_t() -> None:
    bare = re.sub(r"\{[{%].*?[%}]\}", "", TEMPLATE, flags=re.S)
    shown = re.findall(r">\s*([A-Za-z][^<>]{2,})<", bare)
    assert [text.strip() for text in shown if text.strip()] == []
    for script in SCRIPTS:
        code = re.sub(r"//[^\n]*", "", script.read_text(encoding="utf-8"))
        loose = re.findall(r'(?<!t\()"([A-Z][a-z]+ [a-z][^"]*)"', code)
        unsaid = [text for text in loose if f'? "{text}"' not in code and f': "{text}"' not in code]
        assert [one for one in unsaid if f'definitions("{one}"' not in code] == [], script.name


def test_every_mark_of_a_warning_has_a_chinese_one() -> None:
    english = [concern.mark for concern in CONCERNS.values() if concern.mark not in CHINESE]
    assert english == []


def test_headings_and_explanations_are_chinese() -> None:
    assert len(HEADINGS["zh"]) == len(HEADINGS["en"])
    assert [one for one in HEADINGS["zh"] if not CHINESE_LETTER.search(one.meaning)] == []
    for header in (*FAILED_HEADERS, *PROBLEM_HEADERS):
        assert CHINESE_LETTER.search(said(header, "zh")), header


def test_a_label_is_translated_and_what_a_result_says_is_kept() -> None:
    assert said("unstable: p_infer_core ±30 %", "zh") == "不稳定：p_infer_core ±30 %"
    assert said("rerun of 0123abcd: not reproduced", "zh") == "0123abcd 的重跑：未复现"
    assert said("rerun of 0123abcd without a verdict", "zh") == "0123abcd 的重跑：无结论"
    assert said("out of memory: 3 GiB", "zh") == "out of memory: 3 GiB"
    assert said("unstable", "en") == "unstable"


def record_of(tmp_path: Path, **changes: Any) -> Record:
    found = read_record(str(documents.write(tmp_path, documents.document(**changes))))
    assert isinstance(found, Record)
    return found


def test_every_note_of_a_row_is_chinese(tmp_path: Path) -> None:
    key = documents.job(tier="smoke")
    origin = documents.provenance(key) | {"core": {"clock": "vendor-tool"}}
    record = record_of(
        tmp_path,
        job=key,
        provenance=origin,
        simulated=True,
        weights="synthetic",
        data="synthetic",
        metrics=documents.metrics(acc_val=None),
        warnings=documents.warned("device_shared", "chip_unconfirmed"),
    )
    found = marks(record, frozenset({record.path}), "zh")
    assert len(found) == 9
    assert [mark for mark in found if not CHINESE_LETTER.search(mark)] == []


@pytest.mark.parametrize(
    ("gate", "shown"),
    [
        (
            {"reference": 79.3, "allowed_relative_drop": 0.01, "drop": 0.02},
            "精度未达标：acc1 79.00，基准 79.30，下降 2.00%，允许 1%",
        ),
        (
            {"reference": 0.9999, "allowed_relative_drop": 0.01},
            "精度未达标：最小余弦 0.999910，要求 0.9999",
        ),
    ],
)
def test_a_failed_gate_is_explained_in_chinese(
    gate: dict[str, Any], shown: str, tmp_path: Path
) -> None:
    failed = {"passed": False, "reason": "too low", **gate}
    record = record_of(tmp_path, status="accuracy_failed", gate=failed)
    assert struck(record, "zh") == shown


def test_no_english_header_remains_in_markdown(chinese: ReportFiles) -> None:
    text = next(path for path in chinese.files if path.suffix == ".md").read_text(encoding="utf-8")
    lines = text.splitlines()
    titles = [line for line in lines if line.startswith("#")]
    assert [title for title in titles if not CHINESE_LETTER.search(title)] == []
    rules = [number for number, line in enumerate(lines) if line.startswith("| ---")]
    headers = {
        cell.strip().replace("\\", "")
        for n in rules
        for cell in lines[n - 1].split("|")
        if cell.strip()
    }
    english = {one for one in headers if one in CHINESE or one in PAGE}
    assert english - set(FLAGPERF) == set(), "the documents print those in Latin letters"
    notices = [line for line in lines if line.startswith(">")]
    assert notices
    assert [line for line in notices if not CHINESE_LETTER.search(line)] == []


def test_no_english_header_remains_in_the_terminal(chinese: ReportFiles) -> None:
    for table in chinese.tables:
        assert CHINESE_LETTER.search(table.title), table.title
        english = {one for one in table.headers if one in CHINESE or one in PAGE}
        assert english - set(FLAGPERF) == set()
    notes = {row[-1] for table in chinese.tables for row in table.rows}
    assert [note for note in notes if note and not CHINESE_LETTER.search(note)] == []


def test_no_english_label_remains_in_the_page_data(chinese: ReportFiles) -> None:
    data = data_of(chinese)
    assert data["language"] == "zh"
    assert data["words"] == PAGE
    assert [
        group["title"] for group in data["groups"] if not CHINESE_LETTER.search(group["title"])
    ] == []
    flags = [group["flags"] for group in data["groups"] if group["flags"]]
    assert flags
    assert [flag for flag in flags if not CHINESE_LETTER.search(flag)] == []
    marked = data["columns"]["marks"]["values"] + data["columns"]["struck"]["values"]
    assert [mark for mark in marked if mark and not CHINESE_LETTER.search(mark)] == []
    assert '<html lang="zh">' in chinese.html.read_text(encoding="utf-8")


def test_an_english_page_carries_no_chinese(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.document())
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    assert data_of(made)["words"] == {}
