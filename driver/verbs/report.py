"""`report`: writes the results below some folders as tables, an HTML page, Markdown, CSV and Parquet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.published.load import FILE_NAME
from driver.published.report import published_figures
from driver.report.build import ReportOptions, report
from driver.system.plain_text import plain
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog.catalog import Catalog
    from driver.console import Console
    from driver.published.columns import Language
    from driver.published.rows import PublishedFigure
    from driver.report.build import ReportFiles


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which results to show, and the language of the headings."""

    language: Language
    simulated: bool = False
    synthetic: bool = False
    every: bool = False
    case: str | None = None


def make_report(folders: Sequence[Path], wanted: Wanted, console: Console) -> int:
    """Write the report to results/report and show its tables. Raises UsageFault or EnvironmentFault."""
    settings = load_settings()
    catalog = read_catalog(settings, console)
    where = list(folders) or [settings.results]
    made = report(
        where,
        ReportOptions(
            out=settings.results / "report",
            home=settings.home,
            language=wanted.language,
            simulated=wanted.simulated,
            synthetic=wanted.synthetic,
            every=wanted.every,
            published=published(catalog, console),
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
    """Return the requested language, else that of the locale if there are headings in it."""
    from driver.published.columns import language_of

    if asked:
        return language_of(asked)
    return "zh" if os.environ.get("LANG", "").lower().startswith("zh") else "en"


def published(catalog: Catalog, console: Console) -> list[PublishedFigure]:
    """Return all published figures of the catalog's cases; warn of each invalid published.toml."""
    folders = [case.folder for case in catalog.cases.values()]
    folders = [folder for folder in folders if (folder / FILE_NAME).is_file()]
    try:
        return published_figures(folders) if folders else []
    except UsageFault:
        valid = [folder for folder in folders if _is_valid(folder, console)]
        return published_figures(valid) if valid else []


def _is_valid(folder: Path, console: Console) -> bool:
    try:
        published_figures([folder])
    except UsageFault as fault:
        console.warn(
            f"published figures of {folder.name} are left out: {fault.message}", fault.remedy
        )
        return False
    return True


def _show(made: ReportFiles, console: Console) -> None:
    for title, headers, rows in made.tables:
        console.table(headers, rows, title=title)
    for problem in made.first_problems:
        console.fault(f"{problem.path}: {problem.message}", problem.remedy)
    if made.problems > len(made.first_problems):
        console.say(f"  … {made.problems - len(made.first_problems)} more in problems.csv")
