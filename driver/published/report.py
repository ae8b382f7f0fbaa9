"""What the command line and the report read: tables, findings, one JSON document, figures as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.published.gate import gate_verdicts
from driver.published.load import load_cases
from driver.published.rows import figures_of
from driver.published.rules import find
from driver.published.tables import render

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.published.columns import Language
    from driver.published.finding import Finding
    from driver.published.load import PublishedCase
    from driver.published.rows import PublishedFigure
    from driver.published.table import Table

SCHEMA = "assay/published-report/1"


def published_tables(folders: Iterable[Path], language: Language = "en") -> list[Table]:
    """Return the published tables of these case folders, each document's findings as its last table.

    UsageFault when none of them has published figures.
    """
    tables = []
    for case in load_cases(folders):
        for table in render(case, find(case), language):
            notes = (*case.asked_as, *table.notes)
            tables.append(table.model_copy(update={"notes": notes}))
    return tables


def contradictions(folders: Iterable[Path]) -> list[Finding]:
    """Return every finding about the documents of these case folders."""
    return [finding for case in load_cases(folders) for finding in find(case)]


def published_document(folders: Iterable[Path]) -> dict[str, Any]:
    """Return figures and findings as one JSON document (schema ``assay/published-report/1``)."""
    return {
        "schema": SCHEMA,
        "documents": [_document(case) for case in load_cases(folders)],
    }


def _document(case: PublishedCase) -> dict[str, Any]:
    return {
        "case": case.name,
        "asked_as": list(case.asked_as),
        "macs": case.macs,
        "macs_scope": case.macs_scope,
        "published": case.published.model_dump(mode="json", by_alias=True, exclude_none=True),
        "figures": [figure.model_dump(mode="json") for figure in figures_of(case)],
        "gate": [verdict.model_dump(mode="json") for verdict in gate_verdicts(case)],
        "findings": [finding.model_dump(mode="json") for finding in find(case)],
    }


def published_figures(folders: Iterable[Path]) -> list[PublishedFigure]:
    """Return every printed row of these case folders as numbers."""
    return [figure for case in load_cases(folders) for figure in figures_of(case)]
