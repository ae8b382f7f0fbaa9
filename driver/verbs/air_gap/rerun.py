"""`rerun`: runs the job of a result again and judges whether its figures are reproduced."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.bundle.chain import read_result
from driver.bundle.documents import read_own_result
from driver.errors import EXIT_INCONCLUSIVE, EXIT_NOT_REPRODUCED, EXIT_OK, UsageFault
from driver.models.base import Tier
from driver.models.rerun import Outcome, Weight
from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.rerun.asking import (
    asked_by,
    require_case,
    require_host_python,
    require_repeatable,
    require_same_job,
    with_own,
)
from driver.rerun.differences import Facts, at
from driver.rerun.document import facts, make_rerun, rerun_text, tolerances_of
from driver.rerun.reading import FILE
from driver.session.result import exit_code
from driver.session.run import Repetition, run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.files import write_atomically
from driver.system.plain_text import plain
from driver.system.settings import load_settings_here
from driver.system.workspace import remove_tree
from driver.verbs.reading_catalog import read_catalog_here
from driver.verbs.showing.results import show_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.console import Console
    from driver.models.job import JobKey
    from driver.models.rerun import Rerun, RerunFigure
    from driver.models.result import Result
    from driver.plan.choice import Choice
    from driver.session.run import FinishedJob

EXIT_CODES = {
    Outcome.REPRODUCED: EXIT_OK,
    Outcome.NOT_REPRODUCED: EXIT_NOT_REPRODUCED,
    Outcome.INCONCLUSIVE: EXIT_INCONCLUSIVE,
}


@dataclass(frozen=True, kw_only=True)
class RanAgain:
    """A job that ran again: its folder, its result as it is on disk, and the verdict on the original."""

    finished: FinishedJob
    result: Result
    rerun: Rerun


def rerun(result: str | None, given: Mapping[str, str | None], console: Console) -> int:
    """Run a result's job again, write rerun.json beside the new result; return the verdict's exit code.

    ``given`` is what the lab names of its own: where data and weights are, or another vendor or stack.
    Raises DataFault for a result that cannot be reproduced and for what would be another job.
    """
    if not result:
        raise UsageFault("rerun needs a result", "make rerun RESULT=<folder of a result>")
    _, original = read_own_result(Path(result))
    ran = run_again(original, given, console)
    if console.as_json:
        console.document(json.loads(rerun_text(ran.rerun)))
    show_rerun(ran, console)
    if ran.result.failure is None:
        console.say(f"next: {console.advice(_next(ran.rerun, original))}")
    return exit_code(ran.result) or EXIT_CODES[ran.rerun.outcome]


def run_again(
    original: Result, given: Mapping[str, str | None], console: Console, *, audit: bool = False
) -> RanAgain:
    """Run a result's job again and write rerun.json beside the new result.

    ``audit``: with every check at its strictest, and no digest taken from an earlier reading of a file.
    Raises as ``rerun`` does.
    """
    require_repeatable(original)
    tolerances_of(original)
    settings = load_settings_here()
    catalog = read_catalog_here(settings, console)
    require_case(original, catalog)
    if not given.get("stack") and not given.get("vendor"):
        require_host_python(original, catalog)
    request = parse_request(with_own(asked_by(original, catalog), given))
    choice = choose(request, catalog, devices_here(catalog.vendors, [request]))
    if audit:
        choice = replace(choice, measure=choice.measure.model_copy(update={"audit": True}))
        remove_tree(settings.cache / "sha256")
    with console, open_site(choice.runner, settings, catalog, console) as site:
        _say_what(original, choice, console)
        finished = run_job(site, choice, _repetition(original, choice, console))
    # As it is on disk: with its digest, and in JSON's own types.
    _, new = read_result(finished.folder)
    found = make_rerun(original, new, choice.case.manifest)
    write_atomically(finished.folder / FILE, rerun_text(found))
    return RanAgain(finished=finished, result=new, rerun=found)


def show_rerun(ran: RanAgain, console: Console) -> None:
    """Show the new result, and figure by figure whether it reproduces the original."""
    show_result(ran.finished, console, with_next=ran.result.failure is not None)
    _show(ran.rerun, console)
    console.say(f"rerun: {ran.finished.folder / FILE}")


def _repetition(original: Result, choice: Choice, console: Console) -> Repetition:
    """Return what the new job must be: refused where it is another one, else its differences said."""

    def check(key: JobKey, provenance: Mapping[str, Any]) -> None:
        # Compared as results have it: JSON has lists where this process may have tuples.
        here = Facts(job=key, provenance=json.loads(json.dumps(provenance, default=str)))
        found = require_same_job(facts(original), here)
        if any(one.weight is Weight.COMPARISON for one in found):
            console.note(
                "the chip, processor, driver or stack differs, so this is a comparison, not a rerun"
            )

    export = original.provenance.get("export") or {}
    needs = choice.engine.export
    alike = (export.get("opset"), export.get("batch")) == (needs.opset, needs.batch)
    assert original.digest is not None
    return Repetition(
        digest=original.digest,
        onnx_sha256=at(original.provenance, ("export", "onnx_sha256")) if alike else None,
        check=check,
    )


def _say_what(original: Result, choice: Choice, console: Console) -> None:
    console.say(
        f"rerun of {original.job.case}, measured {original.started_utc} on {original.job.chip}: "
        f"{choice.vendor.name} {choice.chip_name} ({choice.stack.name}, {choice.engine_name}, "
        f"{choice.precision_name}, batch {choice.batch_size}, {choice.tier}, {choice.runner})"
    )


def _show(found: Rerun, console: Console) -> None:
    rows = [
        (one.name, _value(one.original), _value(one.rerun), _ratio(one), one.allowed, one.outcome)
        for one in found.figures
    ]
    if not console.as_json:
        headers = ("figure", "original", "here", "here ÷ original", "allowed", "verdict")
        console.table(headers, rows, title=f"rerun of {found.original.job.case}")
    for one in found.differences:
        console.say(f"  {one.weight}: {plain(f'{one.what}: {one.original}, here {one.rerun}')}")
    if found.tolerances_from == "case":
        console.say("  ! the original has no tolerances; those of the case in this checkout apply")
    for figure in found.figures:
        console.say(f"{figure.name}: {figure.outcome} ({plain(figure.reason)})")
    kind = "a comparison, " if found.kind == "comparison" else ""
    console.say(f"verdict: {kind}{found.outcome}")


def _next(found: Rerun, original: Result) -> str:
    """Return what to type after the verdict."""
    if found.outcome is Outcome.REPRODUCED:
        return "`make report` shows both"
    if found.outcome is Outcome.NOT_REPRODUCED:
        return "`make verify` tells whether a file of the result differs; the differences are above"
    if original.job.tier is Tier.SMOKE:
        return (
            "speed is judged from standard runs; the publisher makes one with "
            f"make run CASE={original.job.case} VENDOR={original.job.vendor} TIER=standard"
        )
    return "run the same command again on an idle machine; `make report` shows both"


def _value(value: float | str | None) -> str:
    if value is None:
        return "/"
    return value[:12] if isinstance(value, str) else f"{value:.6g}"


def _ratio(figure: RerunFigure) -> str:
    return "" if figure.ratio is None else f"{figure.ratio:.3f}"
