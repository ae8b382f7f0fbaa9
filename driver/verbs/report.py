"""`report`: every result below the given folders as tables, one HTML page, Markdown, CSV and Parquet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from driver.aggregate.groups import grouped
from driver.aggregate.load import load_results
from driver.aggregate.published import published_figures
from driver.aggregate.selection import newest, select
from driver.aggregate.tables import table
from driver.catalog import load_catalog
from driver.published.load import load_cases
from driver.report.build import ReportOptions, report
from driver.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.aggregate.published import PublishedFigure
    from driver.aggregate.tables import Language
    from driver.catalog import Catalog
    from driver.console import Console
    from driver.settings import Settings

TERMINAL_ROWS = 60
"""Rows that a terminal gets; the page and the files hold all."""
PROBLEM_LINES = 20


def make_report(
    folders: Sequence[Path],
    console: Console,
    *,
    language: Language,
    simulated: bool,
    synthetic: bool,
) -> int:
    """Write the report beside the results and show its tables."""
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    where = list(folders) or [settings.results]
    where[0].mkdir(parents=True, exist_ok=True)
    made = report(
        where,
        ReportOptions(
            out=settings.results / "report",
            home=settings.home,
            language=language,
            simulated=simulated,
            synthetic=synthetic,
            published=published(catalog),
        ),
    )
    if console.as_json:
        console.document(
            {
                "files": [str(path) for path in made.files],
                "results": made.results,
                "shown": made.shown,
                "problems": made.problems,
                "notices": list(made.notices),
            }
        )
    else:
        _show(where, settings, console, language=language, simulated=simulated, synthetic=synthetic)
    for notice in made.notices:
        console.say(f"  ! {notice}")
    for path in made.files:
        console.say(f"{path.suffix[1:]:>8}: {path}")
    return 0


def language_asked(asked: str | None) -> Language:
    """Return what was asked for; the locale's own language counts where we have it."""
    from driver.published.columns import language_of

    if asked:
        return language_of(asked)
    return "zh" if os.environ.get("LANG", "").lower().startswith("zh") else "en"


def published(catalog: Catalog) -> list[PublishedFigure]:
    """Return every published figure of the catalog's cases."""
    return published_figures(load_cases([case.folder for case in catalog.cases.values()]))


def _show(
    folders: Sequence[Path],
    settings: Settings,
    console: Console,
    *,
    language: Language,
    simulated: bool,
    synthetic: bool,
) -> None:
    loaded = load_results(folders, home=settings.home)
    selection = select(loaded.table, simulated=simulated, synthetic=synthetic)
    for group in grouped(newest(selection.table, TERMINAL_ROWS)):
        rows = table(group.records, language, loaded.same_id)
        console.table(rows.headers, rows.as_text(), title=group.title)
    for problem in loaded.problems[:PROBLEM_LINES]:
        console.say(f"  ! {problem.path}: {problem.message}")
        console.say(f"    → {problem.remedy}")
