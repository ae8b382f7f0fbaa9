"""`report --table …`: results in the formats of the seed documents, to paste where those projects keep theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.reading import Unusable, read_result
from driver.aggregate.text import plain
from driver.aggregate.tree import find_results
from driver.catalog import load_catalog
from driver.errors import UsageFault, unknown
from driver.seed_formats.admission import newest_good
from driver.seed_formats.flagperf import flagperf_table
from driver.seed_formats.modelzoo import overall_evaluation
from driver.seed_formats.throughput import throughput_table
from driver.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.console import Console
    from driver.models.result import Result
    from driver.verbs.report import Wanted

FORMATS = ("flagperf", "throughput", "modelzoo")


def show_seed_format(name: str, folders: Sequence[Path], wanted: Wanted, console: Console) -> int:
    """Print the results of one case in a seed's format, as text to paste."""
    if name not in FORMATS:
        raise unknown("seed format", name, FORMATS)
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    case = catalog.case(wanted.case).name if wanted.case else None
    results = _results(list(folders) or [settings.results], console)
    chosen = [one for one in results if case in (None, one.job.case)]
    if not chosen:
        of = f" of {case}" if case else ""
        raise UsageFault(f"there is no result{of} to show", "measure one: make run")
    if name == "modelzoo":
        newest = newest_good(chosen, simulated=wanted.simulated, synthetic=wanted.synthetic)
        classes = catalog.case(newest.job.case).manifest.data.classes or 0
        console.text(overall_evaluation(newest, classes=classes))
        return 0
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
            console.say(f"  ! {plain(file.path)}: edited by hand, left out")
        else:
            found.append(result)
    return found
