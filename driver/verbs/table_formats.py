"""`report --table …`: results in the table formats of other projects, ready to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.reading import Unusable, read_result
from driver.aggregate.tree import find_results
from driver.errors import UsageFault, unknown
from driver.system.plain_text import plain
from driver.system.settings import load_settings
from driver.table_formats.admission import newest_good, newest_of_each_job
from driver.table_formats.flagperf import flagperf_table
from driver.table_formats.modelzoo import overall_evaluation
from driver.table_formats.throughput import throughput_table
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.console import Console
    from driver.models.result import Result
    from driver.verbs.report import Wanted

FORMATS = ("flagperf", "throughput", "modelzoo")


def show_table_format(name: str, folders: Sequence[Path], wanted: Wanted, console: Console) -> int:
    """Print the results of one case in the named format. Raises UsageFault."""
    if name not in FORMATS:
        raise unknown("table format", name, FORMATS)
    settings = load_settings()
    catalog = read_catalog(settings, console)
    case = catalog.case(wanted.case).name if wanted.case else None
    results = _results(list(folders) or [settings.results], console)
    chosen = [one for one in results if case in (None, one.job.case)]
    if not chosen:
        of = f" of {case}" if case else ""
        raise UsageFault(f"there is no result{of} to show", "measure one first: make run")
    if name == "modelzoo":
        newest = newest_good(chosen, simulated=wanted.simulated, synthetic=wanted.synthetic)
        classes = catalog.case(newest.job.case).manifest.data.classes or 0
        console.text(overall_evaluation(newest, classes=classes))
        return 0
    if not wanted.every:
        chosen = newest_of_each_job(chosen)
    table = flagperf_table if name == "flagperf" else throughput_table
    text = table(chosen, wanted.language, simulated=wanted.simulated, synthetic=wanted.synthetic)
    console.text(text)
    return 0


def _results(folders: Sequence[Path], console: Console) -> list[Result]:
    found = []
    for file in find_results(folders).files:
        try:
            result, edited = read_result(file.path)
        except Unusable as error:
            console.say(f"  ! {plain(file.path)}: {error}")
            continue
        if edited:
            console.say(f"  ! {plain(file.path)}: edited after it was written, left out")
        else:
            found.append(result)
    return found
