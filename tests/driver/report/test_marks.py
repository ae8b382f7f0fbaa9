"""Every figure that a warning concerns carries its mark in table, Markdown, CSV, page and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from driver.aggregate.table_row import SHOWN_FIGURES
from driver.models.base import WarningCode
from driver.report.build import ReportOptions, report
from driver.results.concerns import CONCERNS
from tests import documents
from tests.driver.results.scenarios.test_warnings import scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_markdown_gives_units_and_meanings_and_aligns_text_left(tmp_path: Path) -> None:
    documents.write(tmp_path / "r", documents.unstable())
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    (path,) = (path for path in made.files if path.name == "report.md")
    lines = path.read_text(encoding="utf-8").splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("| chip |"))
    headers = [cell.strip() for cell in lines[place].strip("|").split("|")]
    rules = [cell.strip() for cell in lines[place + 1].strip("|").split("|")]
    left = [name for name, rule in zip(headers, rules, strict=True) if rule == "---"]
    assert left == ["chip", "tool", "precision", "date", "host", "runner", "stack", "note"]
    assert any(line.startswith("| e2e\\_time | s | ") for line in lines)
    assert any(line.startswith("| mem | GiB | ") for line in lines)


FIRST = 4
"""The first column of a table with a figure: chip, tool, precision and bs come before."""


@pytest.mark.parametrize("code", CONCERNS, ids=str)
def test_a_warned_figure_carries_its_mark_in_every_format(
    code: WarningCode, tmp_path: Path
) -> None:
    if code is WarningCode.UNSTABLE:
        body = documents.unstable()
        expected = {"p_infer_core", "mfu"}
    else:
        figures = documents.metrics(scenario=scenario().model_dump())
        body = documents.document(metrics=figures, warnings=documents.warned(code.value))
        expected = set(CONCERNS[code].figures)
    documents.write(tmp_path / "r", body)
    made = report([tmp_path / "r"], ReportOptions(out=tmp_path / "out"))
    text = {path.name: path for path in made.files}
    # acc_infer and acc_val share one cell.
    wanted = {n for n, name in enumerate(SHOWN_FIGURES) if name in expected}

    # Figures that cannot be true are struck out too.
    row = [cell.strip("~") for cell in made.tables[0].rows[0]]
    assert {n for n in range(len(SHOWN_FIGURES)) if row[FIRST + n].endswith(" !")} == wanted
    assert CONCERNS[code].mark in row[-1]

    markdown = text["report.md"].read_text(encoding="utf-8")
    line = next(one for one in markdown.splitlines() if one.startswith("| nvidia A100"))
    shown = [cell.strip().strip("~") for cell in line.strip("|").split("|")]
    assert {n for n in range(len(SHOWN_FIGURES)) if shown[FIRST + n].endswith(" !")} == wanted
    assert CONCERNS[code].mark in line.replace("\\", "")

    (values,) = csv.DictReader(io.StringIO(text["results.csv"].read_text(encoding="utf-8")))
    assert set(values["marked_figures"].split("; ")) == expected
    assert CONCERNS[code].mark in values["figure_marks"]
    table = pq.read_table(text["results.parquet"])
    assert set(table.column("marked_figures").to_pylist()[0]) == expected

    page = text["report.html"].read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', page, re.S)
    assert found is not None
    columns = json.loads(found[1])["columns"]
    cells = [column["values"][column["which"][0]] for column in columns["cells"]]
    assert {n for n, cell in enumerate(cells) if cell.endswith(" !")} == wanted
    assert set(columns["marked"]["values"][0].split("; ")) == expected
    assert CONCERNS[code].mark in columns["marks"]["values"][0]
