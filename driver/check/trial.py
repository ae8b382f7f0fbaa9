"""Trials: run every stage of a vendor's engine or a case on a tiny job, in process and in container."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.doctor.devices import check_devices
from driver.doctor.finding import failed, failures, not_checked, note, ok
from driver.errors import AssayError, DataFault, EnvironmentFault
from driver.models.base import REFERENCE, VENDOR_STAGES, FailureKind, RunnerName
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.session.run import run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.catalog.catalog import Catalog
    from driver.doctor.facts import Facts, StackFact
    from driver.doctor.finding import Finding
    from driver.events import Listener
    from driver.models.base import Failure
    from driver.models.result import Result
    from driver.models.vendor import EngineSpec
    from driver.system.settings import Settings

TINY_CASE = "vit_digits"
TINY_LANGUAGE_MODEL = "llama_pydoc"
TINY_LENGTHS = (("prompt", "16"), ("tokens", "8"))
TINY_ITEMS = 10
TINY_BATCH = 4
"""Ten items in batches of four, so that the last batch is partial."""

RUNNERS = (RunnerName.PROCESS, RunnerName.DOCKER)
PLACES = {RunnerName.PROCESS: "in process", RunnerName.DOCKER: "in container"}
NOT_THE_HOOKS = frozenset(
    {FailureKind.HOST, FailureKind.IMAGE, FailureKind.DATA, FailureKind.EXPORT}
)
"""Failures of the machine or of our own code, which say nothing about the hook."""

OURS = frozenset({"python", "numpy"})
"""The versions that the harness itself reports."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One tiny job that can be tried on this machine."""

    what: str
    request: Request
    of_case: bool = False
    """Whether a case is tried, on a vendor of ours; else a vendor, on a case of ours."""


def plan_trials(facts: Facts, runners: tuple[RunnerName, ...] = RUNNERS) -> list[Trial | Finding]:
    """Return the trial of every engine, runner and stack, or a finding why this machine cannot run it.

    Pure. A stack that runs only in its image is not planned in process, unless ``runners`` names
    only that.
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
    # In the order of vendor.toml; its first stack is the vendor's choice.
    own = (fact for fact in facts.stacks if fact.stack.vendor == facts.vendor.name)
    known = {fact.stack.name: fact for fact in own}
    stacks = [known[name] for name in engine.stacks if name in known]
    if not stacks:
        yield not_checked(
            what, "none of its stacks exists", f"fix engines.{name}.stacks in vendor.toml first"
        )
    reference = next((fact for fact in facts.stacks if fact.stack.vendor == REFERENCE), None)
    for fact in stacks:
        alone = fact.stack.manifest.process_runner
        if runner is RunnerName.PROCESS and not alone and not asked:
            continue
        only = len(stacks) == 1 and not facts.vendor.other_hardware
        this = what if only else f"{what}, stack {fact.stack.name}"
        obstacle = _obstacle(facts, fact, runner) or _reference_obstacle(facts, reference, runner)
        if obstacle is None:
            tiny = _request(facts, fact, name, runner)
            if engine.generates != "only":
                yield Trial(what=this, request=tiny)
            if engine.generates:
                lengths = {"case": TINY_LANGUAGE_MODEL, "options": TINY_LENGTHS}
                request = tiny.model_copy(update=lengths)
                yield Trial(what=f"{this}, token by token", request=request)
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
    """Return (reason, remedy) if a stack cannot run on this machine, else None."""
    if runner is RunnerName.DOCKER and fact.stack.found is not None:
        return "a Python of this host does not run in a container", "use RUNNER=process"
    obstacle = _no_image(facts, fact) if runner is RunnerName.DOCKER else _no_environment(fact)
    # A stand-in for the SDK simulates its own devices.
    if obstacle is not None or fact.stand_in or fact.stack.vendor != facts.vendor.name:
        return obstacle
    missing = failures(check_devices(facts, runner))
    return (f"{missing[0].what}: {missing[0].found}", missing[0].remedy) if missing else None


def _reference_obstacle(
    facts: Facts, fact: StackFact | None, runner: RunnerName
) -> tuple[str, str] | None:
    if facts.reference_problem is not None:
        return facts.reference_problem.message, facts.reference_problem.remedy
    return None if fact is None else _obstacle(facts, fact, runner)


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
        return f"the stack {manifest.name} runs only in its image", "see the check in container"
    if fact.lock is not None:
        return fact.lock.message, fact.lock.remedy
    if not fact.python and not fact.environment:
        return f"Python {manifest.python} is not on this host", f"install Python {manifest.python}"
    return None


def run_trial(
    trial: Trial, settings: Settings, catalog: Catalog, listener: Listener
) -> Result | Finding:
    """Run one trial in a temporary results folder; return a Finding if this machine could not.

    Raises KeyboardInterrupt if the user stopped it.
    """
    for one in catalog.invalid_reference:  # a fault of the tree, not of the case
        return not_checked(trial.what, one.fault.message, one.fault.remedy)
    with tempfile.TemporaryDirectory(prefix="assay-check-") as results:
        settings = settings.model_copy(update={"results": Path(results)})
        try:
            names = devices_here(catalog.vendors, [trial.request])
            choice = choose(trial.request, catalog, names)
            with open_site(choice.runner, settings, catalog, listener) as site:
                result = run_job(site, choice).result
        except AssayError as error:
            machines = isinstance(error, EnvironmentFault) and not isinstance(error, DataFault)
            at_fault = trial.of_case and not machines
            wrong = failed if at_fault else not_checked
            return wrong(trial.what, error.message, error.remedy)
    if result.failure is not None and result.failure.kind is FailureKind.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def judge(what: str, result: Result, *, of_case: bool = False) -> Iterator[Finding]:
    """Yield the findings about the contract in a trial's result; ``of_case`` as in Trial. Pure."""
    failure = result.failure
    if failure is not None:
        where = f"{failure.stage}: " if failure.stage else ""
        said = f"{where}[{failure.kind}] {failure.message}"
        blamed = _is_the_cases if of_case else _is_the_vendors
        wrong = failed if blamed(result, failure) else not_checked
        yield wrong(what, said, failure.remedy)
        return
    yield ok(what, f"all stages passed: {', '.join(record.name for record in result.stages)}")
    yield from _said(what, result.provenance)
    core = result.provenance.get("core")
    if isinstance(core, dict) and core.get("clock") == "hook":
        yield note(
            what,
            "the hook times itself (clock: hook), so tables and comparisons mark its figures",
            "let the harness time infer, as docs/contract.md shows",
        )
    if result.simulated:
        yield note(
            what,
            "the engine says that it is simulated, so reports leave its results out",
            "set simulated = False in the engine once it runs on the chip",
        )
    yield from _gated(what, result)


def _gated(what: str, result: Result) -> Iterator[Finding]:
    """Judge accuracy by the raw outputs, since top-1 of ten items means little."""
    gate, fidelity = result.gate, result.metrics.fidelity
    bound = None if gate is None else gate.fidelity_cosine_min
    strays = fidelity is not None and bound is not None and fidelity.cosine_min < bound
    whole = f"run the whole case: make run CASE={result.job.case} VENDOR={result.job.vendor}"
    if gate is not None and result.status == "accuracy_failed":
        yield (failed if strays else note)(
            what,
            f"the accuracy gate failed on {counted(result.metrics.acc_items or 0, 'item')}: {gate.reason}",
            "these are not the model's outputs; check their order, what wait() waits for, and the "
            "precision that ran"
            if strays
            else whole,
        )
    elif strays and fidelity is not None:
        yield note(
            what,
            f"the cosine of the outputs to fp32 is {fidelity.cosine_min:.6f}, below {bound}",
            whole,
        )


def _is_the_vendors(result: Result, failure: Failure) -> bool:
    """Return whether the vendor must fix a failure.

    An ImageFault of the driver concerns this machine (no environment could be made); one that the
    guest reports means that the vendor's stack lacks a module.
    """
    if failure.kind is FailureKind.IMAGE and failure.stage in VENDOR_STAGES:
        return _reported_by_guest(result, failure)
    return failure.kind not in NOT_THE_HOOKS


def _is_the_cases(result: Result, failure: Failure) -> bool:
    """Return whether a case must fix a failure: everything but a lack of this machine."""
    if failure.kind in (FailureKind.IMAGE, FailureKind.HOST):
        return _reported_by_guest(result, failure)
    return True


def _reported_by_guest(result: Result, failure: Failure) -> bool:
    return any(
        record.name is failure.stage and record.status == "failed" and record.guest_s is not None
        for record in result.stages
    )


def _said(what: str, provenance: Mapping[str, object]) -> Iterator[Finding]:
    effective = _of_infer(provenance, "effective")
    for name, wrong in (("precision", failed), ("arithmetic", note)):
        if name not in effective:
            yield wrong(
                what,
                f"the settings that load() returns lack the {name}",
                f'return {{"{name}": …}} from load(), as the SDK reports it, not as it was requested',
            )
    if not set(_of_infer(provenance, "versions")) - OURS:
        yield failed(
            what,
            "the report has no version of the SDK",
            'return the versions from versions(): {"sdk": …, "driver": …}',
        )


def _of_infer(provenance: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = provenance.get(key)
    inner = found.get("infer") if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}
