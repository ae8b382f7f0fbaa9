"""`report`: every result below the given folders as tables, one HTML page, Markdown, CSV and Parquet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.aggregate.text import plain
from driver.catalog import load_catalog
from driver.published.report import published_figures
from driver.report.build import ReportOptions, report
from driver.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog import Catalog
    from driver.console import Console
    from driver.published.columns import Language
    from driver.published.rows import PublishedFigure
    from driver.report.build import ReportFiles


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of the results is asked for, and in whose words."""

    language: Language
    simulated: bool = False
    synthetic: bool = False
    case: str | None = None


def make_report(folders: Sequence[Path], wanted: Wanted, console: Console) -> int:
    """Write the report beside the results and show its tables."""
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    if not folders:
        settings.results.mkdir(parents=True, exist_ok=True)
    where = list(folders) or [settings.results]
    made = report(
        where,
        ReportOptions(
            out=settings.results / "report",
            home=settings.home,
            language=wanted.language,
            simulated=wanted.simulated,
            synthetic=wanted.synthetic,
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
        _show(made, console)
    for notice in made.notices:
        console.say(f"  ! {plain(notice)}")
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
    return published_figures([case.folder for case in catalog.cases.values()])


def _show(made: ReportFiles, console: Console) -> None:
    for title, headers, rows in made.tables:
        console.table(headers, rows, title=title)
    for problem in made.first_problems:
        console.fault(f"{problem.path}: {problem.message}", problem.remedy)
    if made.problems > len(made.first_problems):
        console.say(f"  … {made.problems - len(made.first_problems)} more in problems.csv")
