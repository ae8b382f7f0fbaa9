"""From a result back to the request that measures its job again, and which results have none. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.errors import DataFault, UsageFault
from driver.models.rerun import Weight
from driver.rerun.differences import differences
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Catalog
    from driver.models.rerun import RerunDifference
    from driver.models.result import Result
    from driver.rerun.differences import Facts

CHOSEN_WITH = {"vendor": ("stack", "engine", "chip"), "stack": ("engine", "chip"), "engine": ()}
"""What a lab names of its own, and which of the original's names go with the original's."""


def require_repeatable(result: Result) -> None:
    """Raise DataFault for a result that no run can reproduce: it measured nothing, or failed."""
    if result.simulated:
        raise DataFault(
            "the result is simulated: a stand-in ran and nothing was measured",
            "name a result that was measured on a device",
        )
    if result.status not in ("ok", "accuracy_failed") or result.metrics.p_infer_core is None:
        why = f": {result.failure.message}" if result.failure else ""
        raise DataFault(
            f"the result's job has the status {result.status}, so there are no figures to reproduce{why}",
            f"make run CASE={result.job.case} VENDOR={result.job.vendor} runs such a job",
        )


def require_case(result: Result, catalog: Catalog) -> None:
    """Raise UsageFault for a result of a case that this checkout does not have."""
    try:
        catalog.case(result.job.case)
    except UsageFault as error:
        commit = result.provenance.get("commit") or "not recorded"
        raise UsageFault(
            f"{error.message}: this checkout lacks the case of the result",
            f"use the checkout that measured it (commit {plain(str(commit))}), or its bundle",
        ) from error


def require_same_job(original: Facts, here: Facts) -> list[RerunDifference]:
    """Return in what a planned job differs from a result's; DataFault where it is another job."""
    found = differences(original, here)
    other = [one for one in found if one.weight is Weight.ANOTHER_JOB]
    if other:
        listed = "; ".join(f"{one.what}: {one.original}, here {one.rerun}" for one in other)
        raise DataFault(
            f"this would be a different job: {plain(listed)}",
            "use the inputs of the original: WEIGHTS=<its weights> DATA=<its dataset>; to compare "
            "two different jobs, use `make run` and `make compare`",
        )
    return found


def require_host_python(result: Result, catalog: Catalog) -> None:
    """Raise UsageFault for a result of a Python of its host, unless one is named here too."""
    if (result.provenance.get("vendor_stack") or {}).get("kind") != "found":
        return
    vendor = catalog.vendors.get(result.job.vendor)
    if vendor is None or not any(stack.found for stack in vendor.stacks.values()):
        raise UsageFault(
            f"the result used a Python of its host ({result.job.stack}), which has no lock file, so it "
            "cannot be installed here",
            "STACK_PYTHON=<a Python of this host> runs the job with yours, STACK=<a pinned stack> with one "
            "of Assay's; both are comparisons",
        )


def asked_by(result: Result, catalog: Catalog) -> dict[str, str | None]:
    """Return what a result's job was asked for with, as `run` would be given it.

    A chip that no manifest lists (a processor, a part of a device) is what the device says here.
    """
    job, provenance = result.job, result.provenance
    vendor = catalog.vendors.get(job.vendor)
    listed = vendor is not None and any(job.chip in one.manifest.chips for one in vendor.hardware)
    found = vendor is not None and any(stack.found for stack in vendor.stacks.values())
    measure = provenance.get("measure") or {}
    settings = provenance.get("settings") or {}
    options = settings.get("options") or {}
    return {
        **{str(name): _text(value) for name, value in options.items()},
        "case": job.case,
        "vendor": job.vendor,
        "stack": None if found else job.stack,
        "engine": job.engine,
        "precision": job.precision,
        "bs": str(job.batch_size),
        "chip": job.chip if listed else None,
        "device": settings.get("device"),
        "tier": str(job.tier),
        "runner": str(job.runner),
        "weights": "synthetic" if result.weights == "synthetic" else None,
        "data": "synthetic" if result.data == "synthetic" else None,
        "limit": _number(measure.get("limit")),
        "repeat": _number(measure.get("repeats")),
        "input": provenance.get("input"),
        "preprocess": settings.get("preprocess"),
        **_scenario(result),
    }


def _scenario(result: Result) -> dict[str, str | None]:
    """Return the load scenario that was asked for, and its bound and rate as they were used."""
    settings = (result.provenance.get("settings") or {}).get("scenario") or {}
    bounds_ns = [settings.get(name) for name in ("latency_bound_ns", "token_bound_ns")]
    bounds, rate = [f"{one / 1e6:g}ms" for one in bounds_ns if one], settings.get("target_qps")
    return {
        "scenario": result.job.scenario,
        "latency_bound": ",".join(bounds) or None,
        "target_qps": f"{rate:g}" if rate else None,
    }


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _number(value: Any) -> str | None:
    return str(value) if value else None


def with_own(
    asked: Mapping[str, str | None], given: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return what the original asked for with what the lab names of its own.

    Names of the original that mean nothing to another vendor or stack are left to their defaults.
    """
    own = {name: value for name, value in given.items() if value}
    merged = dict(asked)
    for name, follow in CHOSEN_WITH.items():
        if name in own and own[name] != asked.get(name):
            merged |= dict.fromkeys(follow, None)
    return merged | own
