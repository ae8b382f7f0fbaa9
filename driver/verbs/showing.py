"""What `run` shows at its end: the seeds' row, where the time went, the warnings, what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import Tier
from driver.seed_row import HEADERS, seed_row
from driver.statistics import median_interval

if TYPE_CHECKING:
    from driver.console import Console
    from driver.models.result import Result
    from driver.session import Booked


UNET_STEPS = "core counts UNet steps of a prompt, bs and whole count prompts"


def show_result(booked: Booked, console: Console) -> None:
    """Show a booked job to people; with FORMAT=json the table stays away."""
    result = booked.result
    if not console.as_json:
        console.table(HEADERS["en"], [seed_row(result)], title=_title(result))
    for warning in result.warnings:
        console.warning(warning)
    if result.gate is not None and result.status == "accuracy_failed":
        console.fault(
            f"the accuracy gate failed: {result.gate.reason}",
            "the figures above are shown as failed; look at precision and preprocessing first",
        )
    if result.gate is not None and result.status == "ok" and result.gate.passed is None:
        console.say(f"accuracy: {result.gate.reason}")
    if result.failure is not None:
        console.failure(result.failure)
    if (spread := _spread(result)) is not None:
        console.say(spread)
    console.say(f"time: {_time(result)}")
    console.say(f"result: {booked.folder / 'result.json'}")
    console.say(f"next: {_next(result)}")


def _spread(result: Result) -> str | None:
    """Return what the processes of a repeated job say together, or None for one process."""
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
    # Elsewhere bs, whole and core count the same.
    marks += [UNET_STEPS if result.core_item == "unet step" else ""]
    told = ", ".join(mark for mark in marks if mark)
    return f"{result.job.case} on {result.job.chip}" + (f"  [{told}]" if told else "")


def _time(result: Result) -> str:
    shares = sorted(result.time_shares, key=lambda share: -share.wall_s)
    total = result.metrics.e2e_time_s or 0.0
    listed = ", ".join(
        f"{share.what} {share.wall_s:.1f}" for share in shares if share.wall_s >= 0.05
    )
    return f"{total:.1f} s ({listed})"


def _next(result: Result) -> str:
    job = result.job
    if result.failure is not None:
        return f"mend it and type the same again, or `make doctor VENDOR={job.vendor}`"
    if job.case == "vit_digits":
        return (
            "`make run CASE=vit_b_32 WEIGHTS=synthetic DATA=synthetic LIMIT=64`, "
            "`make list`, `make report`"
        )
    if job.tier is Tier.SMOKE:
        return (
            f"`make run CASE={job.case} VENDOR={job.vendor} TIER=standard` for a figure to compare"
        )
    return "`make report` for all results, `make compare A=<result> B=<result>`"
