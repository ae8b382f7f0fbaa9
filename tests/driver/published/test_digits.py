"""The rendered tables hold what the documents print, digit for digit."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from driver.published.load import load_case
from driver.published.report import published_tables
from driver.table_formats.modelzoo import printed_evaluation
from tests.driver.published.document_text import (
    CASES,
    DOCUMENT_TEXTS,
    DOCUMENTS,
    printed_tables,
    text_of,
)


def _rendered(case: str) -> list[list[list[str]]]:
    """Return the printed columns of every rendered table, in the documents' own words."""
    return [
        [[row[column] for column in table.printed] for row in (table.headers, *table.rows)]
        for table in published_tables([CASES / case], "zh")
        if table.id not in ("evaluations", "derived", "findings")
    ]


@pytest.mark.parametrize(("case", "number"), DOCUMENTS.items())
def test_every_table_of_the_document_is_rendered_cell_for_cell(case: str, number: str) -> None:
    """Our table may go on below the document's rows (an MFU row), never differ in them."""
    rendered = _rendered(case)
    printed = printed_tables(number)
    assert len(printed) >= 1
    for table in printed:
        assert [found for found in rendered if found[: len(table)] == table], table


@pytest.mark.parametrize(("case", "number"), DOCUMENTS.items())
def test_no_rendered_table_is_foreign_to_the_document(case: str, number: str) -> None:
    printed = printed_tables(number)
    for table in _rendered(case):
        assert [found for found in printed if table[: len(found)] == found], table


def test_english_headers_leave_every_figure_as_printed() -> None:
    folders = [CASES / case for case in DOCUMENTS]
    pairs = zip(published_tables(folders, "zh"), published_tables(folders, "en"), strict=True)
    for chinese, english in pairs:
        if chinese.id in ("findings", "throughput"):
            continue
        for left, right in zip(chinese.rows, english.rows, strict=True):
            assert [left[i] for i in chinese.printed] == [right[i] for i in english.printed]
        text = "".join(english.headers)
        assert not re.search(r"[\u4e00-\u9fff]", text), text


@pytest.mark.parametrize(("case", "number"), DOCUMENTS.items())
def test_the_document_is_the_one_that_was_read(case: str, number: str) -> None:
    document = load_case(CASES / case).published.document
    raw = (DOCUMENT_TEXTS / document.file).read_bytes()
    assert document.number == number
    assert hashlib.sha256(raw).hexdigest() == document.sha256


@pytest.mark.parametrize(("case", "number"), DOCUMENTS.items())
def test_everything_quoted_stands_in_the_document(case: str, number: str) -> None:
    """Commands, log lines, sentences and environments are quotes: this finds a slip of ours."""
    published = load_case(CASES / case).published
    text = text_of(number)
    flat = "\n".join(line.strip() for line in text.splitlines())
    quotes = [command.text for command in published.commands]
    quotes += [line for log in published.logs for line in log.lines]
    quotes += [log.file for log in published.logs if log.file]
    quotes += [figure.text for figure in published.figures]
    quotes += [ratio.text for ratio in published.closing_ratios]
    quotes += [value for item in published.environments for value in item.settings.values()]
    for quote in quotes:
        assert quote in flat, quote
    for figure in published.figures:
        assert figure.measured in figure.text
        assert figure.total in figure.text


def test_log_excerpts_are_whole() -> None:
    lines = [line.rstrip() for line in text_of("004").splitlines()]
    printed = [
        line for line in lines if re.match(r"\[(e2e|data read|preprocess|infer|post|05/)", line)
    ]
    logs = load_case(CASES / "regnety_016").published.logs
    assert sorted(line for log in logs for line in log.lines) == sorted(printed)


def test_every_figure_that_the_text_derives_is_in_the_data() -> None:
    printed = re.findall(r"(?m)^.*(?:单卡吞吐率).*$", text_of("004"))
    figures = load_case(CASES / "regnety_016").published.figures
    assert sorted(figure.text for figure in figures) == sorted(line.strip() for line in printed)


def test_statistical_evaluations_are_the_document_s_character_for_character() -> None:
    printed = [line for line in text_of("004").splitlines() if line.startswith('{"title"')]
    evaluations = load_case(CASES / "regnety_016").published.evaluations
    assert [printed_evaluation(evaluation) for evaluation in evaluations] == printed
    assert all(json.loads(line)["title"] == "Overall statistical evaluation" for line in printed)
