"""Shows the result of `run`: the table row, warnings, where the time went, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.scenarios.rows import SCENARIO_HEADERS, scenario_row
from driver.aggregate.table_row import GENERATION_HEADERS, HEADERS, generation_row, table_row
from driver.models.base import Tier
from driver.results.concerns import marks_of, strikes
from driver.results.statistics import median_interval
from driver.system.user.own_command import OwnCommand

if TYPE_CHECKING:
    from driver.console import Console
    from driver.models.result import Result
    from driver.session.run import FinishedJob


def show_result(finished: FinishedJob, console: Console, *, with_next: bool = True) -> None:
    """Show a finished job; with FORMAT=json without the table.

    ``with_next`` says what to type next; a verb that continues leaves it to its own last line.
    """
    result = finished.result
    if not console.as_json:
        _show_tables(result, console)
    for warning in result.warnings:
        console.warning(warning)
    if result.gate is not None and result.status == "accuracy_failed":
        console.fault(
            f"the accuracy gate failed: {result.gate.reason}",
            "the figures above do not count; check precision and preprocessing first",
        )
    if strikes(warning.code for warning in result.warnings):
        console.fault(
            "the core figures above cannot be true: they are struck out in reports and never compared",
            "follow the warning's remedy, then run the same command again",
        )
    if result.gate is not None and result.status == "ok" and result.gate.passed is None:
        console.say(f"accuracy: {result.gate.reason}")
    if result.failure is not None:
        console.failure(result.failure)
    if (spread := _spread(result)) is not None:
        console.say(spread)
    console.say(f"time: {_time(result)}")
    console.say(f"result: {finished.folder / 'result.json'}")
    if with_next:
        console.say(f"next: {_next(result, console.own_command())}")


def _show_tables(result: Result, console: Console) -> None:
    """Show the row of the table, and those of a language model and of a load scenario."""
    metrics, marked = result.metrics, marks_of(result).figures
    console.table(HEADERS["en"], [table_row(result)], title=_title(result))
    if metrics.generation is not None and metrics.p_infer_core is not None:
        row = generation_row(metrics.generation, marked)
        console.table(GENERATION_HEADERS["en"], [row], title="token by token")
    if metrics.scenario is not None:
        row = scenario_row(metrics.scenario, marked)
        console.table(SCENARIO_HEADERS["en"], [row], title="load scenario, as LoadGen measured it")


def _spread(result: Result) -> str | None:
    """Return median and variation over the processes of a repeated job, or None for one process."""
    core = result.metrics.spread.get("p_infer_core")
    if core is None or len(core.values) < 2:
        return None
    interval = median_interval(core.values)
    bounds = f"95 % interval {interval.low:.4g} to {interval.high:.4g}, " if interval else ""
    varies = f"they vary by {core.cv:.1%}" if core.cv is not None else ""
    return (
        f"p_infer_core: median {core.median:.4g} of {len(core.values)} processes, {bounds}{varies}"
    )


def _title(result: Result) -> str:
    marks = [result.job.tier.value if result.job.tier is Tier.SMOKE else ""]
    marks += ["simulated" if result.simulated else ""]
    marks += ["synthetic weights" if result.weights == "synthetic" else ""]
    marks += ["synthetic data" if result.data == "synthetic" else ""]
    marks += [_other_items(result)]
    shown = ", ".join(mark for mark in marks if mark)
    return f"{result.job.case} on {result.job.chip}" + (f"  [{shown}]" if shown else "")


def _other_items(result: Result) -> str:
    """Return what core counts, where bs and whole count something else; older results do not say what."""
    item, core_item = result.item or "image", result.core_item
    if core_item == item:
        return ""
    return f"core counts {core_item}s, bs and whole count {result.item or 'item'}s"


def _time(result: Result) -> str:
    shares = sorted(result.time_shares, key=lambda share: -share.wall_s)
    total = result.metrics.e2e_time_s or 0.0
    listed = ", ".join(
        f"{share.what} {share.wall_s:.1f}" for share in shares if share.wall_s >= 0.05
    )
    return f"{total:.1f} s ({listed})"


def _next(result: Result, own: OwnCommand | None) -> str:
    """Return what to type next: the user's own command with what it lacks, and nothing dropped."""
    job = result.job
    if own is None or own.verb != "run":
        own = OwnCommand(verb="run", given={"CASE": job.case, "VENDOR": job.vendor})
    if result.failure is not None:
        return f"fix it and run `{own}` again, or `{own.other('doctor', {'VENDOR': job.vendor})}`"
    report = f"`{own.other('report', {})}`"
    if job.case == "vit_digits":
        larger = own.changed(
            {"CASE": "vit_b_32", "WEIGHTS": "synthetic", "DATA": "synthetic", "LIMIT": "64"}
        )
        return f"`{larger}`, `{own.other('list', {})}`, {report}"
    if job.tier is Tier.SMOKE:
        standard = own.changed({"TIER": "standard", "LIMIT": None})
        return f"`{standard}` for a figure to compare"
    return f"{report} for all results, `make compare A=<result> B=<result>`"
