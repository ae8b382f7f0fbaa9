"""Load scenarios in a report: their table in the terminal, in Markdown, on the page, and their columns in CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

from driver.report.build import ReportOptions, report
from tests import documents
from tests.driver.results.scenarios.test_warnings import scenario

if TYPE_CHECKING:
    from pathlib import Path

    from driver.report.stamp import ReportFiles


def made(tmp_path: Path, **options: str) -> ReportFiles:
    found = scenario(figure=41.5, samples_per_s=41.5)
    figures = documents.metrics(scenario=found.model_dump())
    documents.write(tmp_path / "r", documents.document(metrics=figures))
    return report([tmp_path / "r"], ReportOptions(out=tmp_path / "out", **options))  # type: ignore[arg-type]


def text(files: ReportFiles, name: str) -> str:
    (path,) = (path for path in files.files if path.name == name)
    return path.read_text(encoding="utf-8")


def test_the_terminal_and_markdown_have_a_table_of_scenarios(tmp_path: Path) -> None:
    files = made(tmp_path)
    _, scenarios = files.tables
    assert scenarios.title.endswith("load scenarios")
    assert scenarios.rows[0][4:6] == ("server", "41.5 samples/s")
    markdown = text(files, "report.md")
    assert "### load scenarios" in markdown
    assert "| 41.5 samples/s |" in markdown


def test_the_page_has_it_too(tmp_path: Path) -> None:
    found = re.search(r'id="data">(.*?)</script>', text(made(tmp_path), "report.html"), re.S)
    assert found is not None
    (group,) = json.loads(found[1])["groups"]
    assert group["scenarios"]["headers"][4] == "scenario"
    assert group["scenarios"]["rows"][0][5] == "41.5 samples/s"


def test_its_columns_have_chinese_names(tmp_path: Path) -> None:
    files = made(tmp_path, language="zh")
    assert "### 负载场景" in text(files, "report.md")
    assert "MLPerf 结果" in files.tables[1].headers


def test_the_csv_has_its_figures(tmp_path: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(text(made(tmp_path), "results.csv")))
    assert (row["scenario"], row["scenario_figure"], row["scenario_bound_ms"]) == (
        *("server", "41.5", "15"),
    )
