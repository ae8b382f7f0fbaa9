"""Trials: a vendor's engine (or a case) through every stage on a tiny job, in process and in container."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.containers import VENDOR_STAGES
from driver.doctor.devices import check_devices
from driver.errors import AssayError
from driver.findings import failed, failures, not_checked, note, ok
from driver.models.base import FailureKind, RunnerName
from driver.opening import open_site
from driver.plan import choose
from driver.request import Request
from driver.session import run_job
from driver.telemetry import names_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.catalog import Catalog
    from driver.doctor.facts import Facts, StackFact
    from driver.events import Listener
    from driver.findings import Finding
    from driver.models.base import Failure
    from driver.models.manifest import EngineSpec
    from driver.models.result import Result
    from driver.settings import Settings

TINY_CASE = "vit_digits"
TINY_ITEMS = 10
TINY_BATCH = 4
"""Ten items in batches of four: the last batch is a partial one."""

RUNNERS = (RunnerName.PROCESS, RunnerName.DOCKER)
PLACES = {RunnerName.PROCESS: "in process", RunnerName.DOCKER: "in container"}
NOT_THE_HOOKS = frozenset(
    {FailureKind.HOST, FailureKind.IMAGE, FailureKind.DATA, FailureKind.EXPORT}
)
"""Failures of the machine or of what is ours: they say nothing about the hook."""

OURS = frozenset({"python", "numpy"})
"""What the harness itself writes under versions."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One tiny job that can be tried on this machine."""

    what: str
    request: Request


def plan_trials(facts: Facts, runners: tuple[RunnerName, ...] = RUNNERS) -> list[Trial | Finding]:
    """Return for every engine, runner and stack the trial that this machine can do, or why it cannot.

    Pure. A stack that runs in its image only is not asked for in process, unless that alone is what
    ``runners`` names.
    """
    return [
        planned
        for name, engine in facts.vendor.manifest.engines.items()
        for runner in runners
        for planned in _plan(facts, name, engine, runner, asked=len(runners) == 1)
    ]


def _plan(
    facts: Facts, name: str, engine: EngineSpec, runner: RunnerName, *, asked: bool
) -> Iterator[Trial | Finding]:
    what = f"contract of {name} {PLACES[runner]}"
    # In the order of vendor.toml, whose first is the vendor's choice.
    own = (fact for fact in facts.stacks if fact.stack.vendor == facts.vendor.name)
    known = {fact.stack.name: fact for fact in own}
    stacks = [known[name] for name in engine.stacks if name in known]
    if not stacks:
        yield not_checked(what, "no stack of it is there", "mend vendor.toml first")
    reference = next(fact for fact in facts.stacks if fact.stack.vendor == "reference")
    for fact in stacks:
        alone = fact.stack.manifest.process_runner
        if runner is RunnerName.PROCESS and not alone and not asked:
            continue
        this = what if len(stacks) == 1 else f"{what}, stack {fact.stack.name}"
        obstacle = _obstacle(facts, fact, runner) or _obstacle(facts, reference, runner)
        if obstacle is None:
            yield Trial(what=this, request=_request(facts, fact, name, runner))
        else:
            yield not_checked(this, *obstacle)


def _request(facts: Facts, fact: StackFact, engine: str, runner: RunnerName) -> Request:
    return Request(
        case=TINY_CASE,
        vendor=facts.vendor.name,
        stack=fact.stack.name,
        engine=engine,
        runner=runner,
        batch_size=TINY_BATCH,
        limit=TINY_ITEMS,
    )


def _obstacle(facts: Facts, fact: StackFact, runner: RunnerName) -> tuple[str, str] | None:
    """Return what keeps a stack from being run in here (what, remedy), None when nothing does."""
    if runner is RunnerName.DOCKER and fact.stack.found is not None:
        return "an interpreter of this host is in no container", "RUNNER=process"
    held_up = _no_image(facts, fact) if runner is RunnerName.DOCKER else _no_environment(fact)
    # A stand-in for the SDK has its devices in itself.
    if held_up is not None or fact.stand_in or fact.stack.vendor != facts.vendor.name:
        return held_up
    missing = failures(check_devices(facts, runner))
    return (f"{missing[0].what}: {missing[0].found}", missing[0].remedy) if missing else None


def _no_image(facts: Facts, fact: StackFact) -> tuple[str, str] | None:
    if facts.engine.problem is not None:
        return facts.engine.problem.message, facts.engine.problem.remedy
    if fact.image is not None:
        return None
    stack = fact.stack
    build = f"make images VENDOR={stack.vendor} STACK={stack.name}"
    return f"the image of {stack.vendor}/{stack.name} is not built", build


def _no_environment(fact: StackFact) -> tuple[str, str] | None:
    manifest = fact.stack.manifest
    if not manifest.process_runner:
        return f"the stack {manifest.name} runs in its image only", "see the check in container"
    if fact.lock is not None:
        return fact.lock.message, fact.lock.remedy
    if not fact.python and not fact.environment:
        return f"Python {manifest.python} is not on this host", f"install Python {manifest.python}"
    return None


def run_trial(
    trial: Trial, settings: Settings, catalog: Catalog, listener: Listener
) -> Result | Finding:
    """Run one trial in a results folder of its own; a Finding where this machine could not.

    KeyboardInterrupt goes on to the caller.
    """
    with tempfile.TemporaryDirectory(prefix="assay-check-") as results:
        settings = settings.model_copy(update={"results": Path(results)})
        try:
            names = names_here(catalog.vendors, [trial.request])
            choice = choose(trial.request, catalog, names)
            with open_site(choice.runner, settings, catalog, listener) as site:
                result = run_job(site, choice).result
        except AssayError as error:
            return not_checked(trial.what, error.message, error.remedy)
    if result.failure is not None and result.failure.kind is FailureKind.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def judge(what: str, result: Result) -> Iterator[Finding]:
    """Yield what a trial's result says of the contract. Pure."""
    failure = result.failure
    if failure is not None:
        where = f"{failure.stage}: " if failure.stage else ""
        said = f"{where}[{failure.kind}] {failure.message}"
        wrong = failed if _is_the_vendors(result, failure) else not_checked
        yield wrong(what, said, failure.remedy)
        return
    yield ok(what, f"{', '.join(record.name for record in result.stages)}: all stages went well")
    yield from _said(what, result.provenance)
    core = result.provenance.get("core")
    if isinstance(core, dict) and core.get("clock") == "hook":
        yield note(
            what,
            "the hook times itself (clock: hook): tables and comparisons say so of its figures",
            "hand infer over to the harness, as docs/contract.md shows, for a figure of ours",
        )
    if result.simulated:
        yield note(
            what,
            "the engine calls itself simulated, so its results stay out of reports",
            "simulated = False in the engine, once it runs on the chip",
        )
    yield from _gated(what, result)


def _gated(what: str, result: Result) -> Iterator[Finding]:
    """Top-1 of ten items says little; how far their raw outputs lie from fp32's says enough to fail."""
    gate, fidelity = result.gate, result.metrics.fidelity
    bound = None if gate is None else gate.fidelity_cosine_min
    strays = fidelity is not None and bound is not None and fidelity.cosine_min < bound
    look = f"look at it with the whole case: make run CASE={result.job.case} VENDOR={result.job.vendor}"
    if gate is not None and result.status == "accuracy_failed":
        yield (failed if strays else note)(
            what,
            f"the accuracy gate failed on {result.metrics.acc_items} items: {gate.reason}",
            "the outputs are not the model's: look at their order, at what wait() waits for, and at the "
            "precision that runs"
            if strays
            else look,
        )
    elif strays and fidelity is not None:
        yield note(
            what, f"the outputs' cosine to fp32 is {fidelity.cosine_min:.6f}, below {bound}", look
        )


def _is_the_vendors(result: Result, failure: Failure) -> bool:
    """Say whether a failure is the vendor's to mend.

    The driver's own ImageFault is this machine's (no environment was made); one that the guest
    reports is a module that the vendor's stack lacks.
    """
    told_by_guest = any(
        record.name is failure.stage and record.status == "failed" and record.guest_s is not None
        for record in result.stages
    )
    if failure.kind is FailureKind.IMAGE and failure.stage in VENDOR_STAGES:
        return told_by_guest
    return failure.kind not in NOT_THE_HOOKS


def _said(what: str, provenance: Mapping[str, object]) -> Iterator[Finding]:
    effective = _of_infer(provenance, "effective")
    for name, wrong in (("precision", failed), ("arithmetic", note)):
        if name not in effective:
            yield wrong(
                what,
                f"the settings that load() read back do not tell the {name}",
                f'return {{"{name}": …}} from load(), as the SDK says it and not as it was asked for',
            )
    if not set(_of_infer(provenance, "versions")) - OURS:
        yield failed(
            what,
            "the report names no version of the SDK",
            'return them from versions(): {"sdk": …, "driver": …}',
        )


def _of_infer(provenance: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = provenance.get(key)
    inner = found.get("infer") if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}
