"""`run`: measure one job, or several when a variable holds a list, and show the seeds' table row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.booking import exit_code
from driver.host_python import catalog_here
from driver.opening import open_site
from driver.plan import choose
from driver.request import parse_request
from driver.session import run_job
from driver.settings import load_settings
from driver.telemetry import names_here
from driver.verbs.showing import show_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.console import Console


def run(given: Mapping[str, str | None], console: Console) -> int:
    """Run the job that ``given`` asks for; return its exit code."""
    request = parse_request(given)
    settings = load_settings()
    catalog = catalog_here(settings)
    choice = choose(request, catalog, names_here(catalog.vendors, [request]))
    with console, open_site(choice.runner, settings, catalog, console) as site:
        console.say(
            f"{choice.case.manifest.title} on {choice.vendor.name} {choice.chip_name} "
            f"({choice.stack.name}, {choice.engine_name}, {choice.precision_name}, "
            f"batch {choice.batch_size}, {choice.tier}, {choice.runner})"
        )
        booked = run_job(site, choice)
    if console.as_json:
        console.document(json.loads((booked.folder / "result.json").read_text(encoding="utf-8")))
    show_result(booked, console)
    return exit_code(booked.result)
