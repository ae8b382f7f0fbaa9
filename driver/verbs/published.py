"""`published`: the documents' tables in their own columns, our recomputation, and the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.report import published_document, published_tables
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog
from driver.verbs.report import language_asked

if TYPE_CHECKING:
    from driver.console import Console


def show_published(case: str | None, language: str | None, console: Console) -> int:
    """Show the published tables of one case, or of all cases."""
    settings = load_settings()
    catalog = read_catalog(settings, console)
    cases = [catalog.case(case)] if case else list(catalog.cases.values())
    folders = [one.folder for one in cases]
    if console.as_json:
        console.document(published_document(folders))
        return 0
    for table in published_tables(folders, language_asked(language)):
        console.table(table.headers, table.rows, title=table.title)
        for note in table.notes:
            console.text(f"  {note}")
    return 0
