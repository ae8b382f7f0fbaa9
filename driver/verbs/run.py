"""`run`: measures one job and shows its table row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.session.result import exit_code
from driver.session.run import run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog_here
from driver.verbs.showing.results import show_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.console import Console


def run(given: Mapping[str, str | None], console: Console) -> int:
    """Run the job that the variables in ``given`` describe; return its exit code."""
    settings = load_settings()
    request = parse_request(given).model_copy(update={"host": settings.host})
    catalog = read_catalog_here(settings, console)
    choice = choose(request, catalog, devices_here(catalog.vendors, [request]))
    with console, open_site(choice.runner, settings, catalog, console, elsewhere=True) as site:
        console.say(
            f"{choice.case.manifest.title} on {choice.vendor.name} {choice.chip_name} "
            f"({choice.stack.name}, {choice.engine_name}, {choice.precision_name}, "
            f"batch {choice.batch_size}, {choice.tier}, {choice.runner}"
            f"{'' if choice.scenario is None else f', {choice.scenario.name}'})"
        )
        finished = run_job(site, choice)
    if console.as_json:
        console.document(json.loads((finished.folder / "result.json").read_text(encoding="utf-8")))
    show_result(finished, console)
    return exit_code(finished.result)
