"""Trials: which ones this machine can run, and how the result of one is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.case import judge_macs, plan_case_trial
from driver.check.trial import PLACES, Trial, judge, plan_trials
from driver.doctor.facts import ContainerEngine, Node, StackFact, Unavailable
from driver.doctor.finding import Finding
from driver.models.base import Failure, FailureKind, RunnerName, StageName
from driver.models.report import Fidelity
from driver.models.result import Result
from driver.runners.spec import InstalledStack
from driver.stacks.installer import Installation
from tests import documents
from tests.driver.doctor.machines import make_facts, make_node, make_stack
from tests.driver.session.test_run import Lab, OwnPython

if TYPE_CHECKING:
    from driver.catalog.vendor import Stack
    from driver.doctor.facts import Facts

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def machine(*, image: str | None = "i", alone: bool = True, **changes: object) -> Facts:
    reference = make_stack("ref", alone=True, vendor="reference")
    vendor = make_stack(alone=alone)
    changes["stack"] = vendor
    stacks = (
        StackFact(stack=reference, wanted=True, image="r", environment=True),
        StackFact(stack=vendor, wanted=True, image=image, environment=alone),
    )
    return make_facts(changes.pop("devices", None), stacks=stacks, **changes)  # type: ignore[arg-type]


def planned(facts: Facts, engine: str = "turbo") -> dict[RunnerName, Trial | Finding]:
    trials = {one.what: one for runner in PLACES for one in plan_trials(facts, (runner,))}
    return {runner: trials[f"contract of {engine} {place}"] for runner, place in PLACES.items()}


def test_an_engine_that_needs_its_image_is_not_tried_in_process() -> None:
    trials = plan_trials(machine(alone=False))
    assert [one.what for one in trials] == [
        "contract of turbo in container",
        "contract of eager in container",
    ]


def test_every_engine_is_tried_in_process_and_in_container_if_both_are_possible() -> None:
    trials = plan_trials(machine())
    assert len(trials) == 4
    assert all(isinstance(one, Trial) for one in trials)


def test_an_engine_that_generates_is_tried_on_a_language_model_too() -> None:
    facts = machine()
    manifest = facts.vendor.manifest
    turbo = manifest.engines["turbo"].model_copy(update={"generates": True})
    engines = {**manifest.engines, "turbo": turbo}
    vendor = replace(facts.vendor, manifest=manifest.model_copy(update={"engines": engines}))
    trials = plan_trials(replace(facts, vendor=vendor), (RunnerName.PROCESS,))
    tried = {one.what: one.request.case for one in trials if isinstance(one, Trial)}
    assert tried == {
        "contract of turbo in process": "vit_digits",
        "contract of turbo in process, token by token": "llama_pydoc",
        "contract of eager in process": "vit_digits",
    }


def test_the_last_batch_of_a_trial_is_partial() -> None:
    trial = planned(machine())[RunnerName.PROCESS]
    assert isinstance(trial, Trial)
    assert trial.request.limit is not None
    assert trial.request.batch_size is not None
    assert trial.request.limit % trial.request.batch_size


NO_NODE = Node(path="/dev/acme0", exists=False)


def test_an_engine_without_its_device_is_tried_only_on_a_stand_in() -> None:
    away = machine(devices={"nodes": ["/dev/acme{index}"]}, nodes=(NO_NODE,))
    assert "/dev/acme0" in why(away, RunnerName.DOCKER).found
    reference, vendor = away.stacks
    imitated = replace(away, stacks=(reference, replace(vendor, stand_in=True)))
    assert isinstance(planned(imitated)[RunnerName.DOCKER], Trial)


def with_second_stack(facts: Facts, **second: object) -> Facts:
    """Return the facts of a vendor whose engine turbo lists v2 first, then v1."""
    fact = StackFact(stack=make_stack("v2"), wanted=False, **second)  # type: ignore[arg-type]
    manifest = facts.vendor.manifest
    turbo = manifest.engines["turbo"].model_copy(update={"stacks": ("v2", "v1")})
    engines = {**manifest.engines, "turbo": turbo}
    vendor = replace(facts.vendor, manifest=manifest.model_copy(update={"engines": engines}))
    return replace(facts, vendor=vendor, stacks=(*facts.stacks, fact))


def test_an_engine_is_tried_in_every_stack_in_the_order_of_its_manifest() -> None:
    facts = with_second_stack(machine(alone=False), image="i")
    trials = [one for one in plan_trials(facts) if isinstance(one, Trial)]
    assert [(one.what, one.request.stack) for one in trials if one.request.engine == "turbo"] == [
        ("contract of turbo in container, stack v2", "v2"),
        ("contract of turbo in container, stack v1", "v1"),
    ]


def test_a_stack_that_cannot_be_tried_is_reported_next_to_one_that_can() -> None:
    facts = with_second_stack(machine(alone=False), image=None)
    second, first = plan_trials(facts)[:2]
    assert isinstance(first, Trial)
    assert isinstance(second, Finding)
    assert (second.what, second.status) == (
        "contract of turbo in container, stack v2",
        "not_checked",
    )
    assert second.remedy == "make images VENDOR=acme STACK=v2"


def test_a_stack_that_runs_only_in_its_image_is_skipped_in_process() -> None:
    names = [one.what for one in plan_trials(with_second_stack(machine(), image="i"))]
    assert names[:3] == [
        "contract of turbo in process, stack v1",
        "contract of turbo in container, stack v2",
        "contract of turbo in container, stack v1",
    ]


def why(facts: Facts, runner: RunnerName) -> Finding:
    found = planned(facts)[runner]
    assert isinstance(found, Finding)
    assert found.status == "not_checked"
    assert found.remedy
    return found


def test_a_trial_that_cannot_run_has_a_reason_and_a_remedy() -> None:
    assert "runs only in its image" in why(machine(alone=False), RunnerName.PROCESS).found
    assert "make images VENDOR=acme" in why(machine(image=None), RunnerName.DOCKER).remedy
    problem = Unavailable(message="no engine answers", remedy="start it")
    away = machine(engine=ContainerEngine(problem=problem))
    assert why(away, RunnerName.DOCKER).found == "no engine answers"
    nodes = machine(devices={"nodes": ["/dev/acme0"]}, nodes=(make_node(exists=False),))
    assert "no such device node" in why(nodes, RunnerName.PROCESS).found


def statuses(findings: list[Finding]) -> list[str]:
    return [one.status for one in findings]


def test_a_hook_that_keeps_the_contract_passes(lab: Lab) -> None:
    result = lab.run().result
    said = {
        "effective": {"infer": {"precision": "fp32", "arithmetic": "fp32"}},
        "versions": {"infer": {"python": "3", "numpy": "2", "sdk": "1"}},
    }
    result = result.model_copy(update={"provenance": result.provenance | said})
    found = list(judge("x", result))
    assert statuses(found) == ["ok", "note"]
    assert "the hook times itself" in found[1].found


def test_missing_settings_and_a_missing_sdk_version_are_found(lab: Lab) -> None:
    said = {"effective": {"infer": {}}, "versions": {"infer": {"python": "3", "numpy": "2"}}}
    result = lab.run().result
    result = result.model_copy(update={"provenance": result.provenance | said})
    found = list(judge("x", result))
    assert statuses(found) == ["ok", "failed", "note", "failed", "note"]
    assert "lack the precision" in found[1].found


@pytest.mark.parametrize("behaviour", ["no-report", "half-json", "exit-3", "few-items", "fails"])
def test_a_hook_that_breaks_the_contract_fails_the_check(lab: Lab, behaviour: str) -> None:
    lab.behave(infer=behaviour)
    assert statuses(list(judge("x", lab.run().result))) == ["failed"]


@pytest.mark.parametrize("stage", ["compile", "validate", "infer"])
def test_a_module_that_the_stack_lacks_fails_the_check(lab: Lab, stage: str) -> None:
    lab.behave(**{stage: "lacks-a-module"})
    (found,) = judge("x", lab.run().result)
    assert (found.status, found.found) == ("failed", f"{stage}: [image] No module named 'acmertx'")


def test_a_missing_environment_is_not_the_hooks_failure(lab: Lab) -> None:
    class Nowhere(OwnPython):
        def install(self, stack: Stack) -> Installation:
            venv = self._venv if stack.vendor == "reference" else self._venv / "nowhere"
            return Installation(stack=InstalledStack(venv=venv), provenance={})

    lab.installer.__class__ = Nowhere
    (found,) = judge("x", lab.run().result)
    assert (found.status, found.found[:16]) == ("not_checked", "compile: [image]")


def test_a_failure_of_the_machine_is_not_the_hooks_failure(lab: Lab) -> None:
    lab.behave("reference", export="fails")
    assert statuses(list(judge("x", lab.run().result))) == ["not_checked"]


def test_a_stand_in_and_a_failed_gate_are_reported(lab: Lab) -> None:
    lab.behave("reference", score="worse")
    result = lab.run().result.model_copy(update={"simulated": True})
    found = " ".join(one.found for one in judge("x", result))
    assert "simulated" in found
    assert "accuracy gate failed" in found


@pytest.mark.parametrize(
    ("passed", "cosine", "status"),
    [(False, 0.9999, "note"), (False, 0.2, "failed"), (True, 0.98, "note"), (True, 0.9999, None)],
)
def test_a_failed_top1_is_a_note_but_outputs_far_from_fp32_fail(
    lab: Lab, passed: bool, cosine: float, status: str | None
) -> None:
    if not passed:
        lab.behave("reference", score="worse")
    result = lab.run().result
    said = {"effective": {"infer": {"precision": "fp32", "arithmetic": "fp32"}}}
    said["versions"] = {"infer": {"sdk": "1"}}
    fidelity = Fidelity(items=3, cosine_min=cosine, max_abs=0.1)
    metrics = result.metrics.model_copy(update={"fidelity": fidelity})
    result = result.model_copy(update={"provenance": said, "metrics": metrics})
    assert statuses(list(judge("x", result))) == ["ok", *([status] if status else [])]


def test_macs_that_differ_from_the_count_have_a_remedy(lab: Lab) -> None:
    case = load_catalog(lab.root).cases["tiny"]
    result = lab.run().result

    def counted(macs: int | None) -> Finding:
        provenance = result.provenance | {"export": {"macs": macs}}
        return judge_macs(case, result.model_copy(update={"provenance": provenance}))

    assert counted(1000).status == "ok"
    assert counted(999).remedy == "write macs = 999"
    assert counted(None).status == "not_checked"


def test_a_large_case_is_tried_only_if_a_runner_is_named() -> None:
    case = load_catalog(ROOT).case("vit_l_16")
    assert isinstance(plan_case_trial(case, None), Finding)
    trial = plan_case_trial(case, RunnerName.PROCESS)
    assert isinstance(trial, Trial)
    assert (trial.request.weights, trial.request.data) == ("synthetic", "synthetic")


def failed_result(failure: Failure) -> Result:
    body = documents.document(status="failed", failure=failure.model_dump(mode="json"))
    return Result.model_validate(body)


@pytest.mark.parametrize("kind", ["export", "data", "infer", "contract", "out_of_memory"])
def test_what_could_not_be_tried_for_a_fault_of_the_case_is_a_failure(kind: str) -> None:
    failure = Failure(
        kind=FailureKind(kind), stage=StageName.EXPORT, message="no model", remedy="fix it"
    )
    result = failed_result(failure)
    assert statuses(list(judge("x", result, of_case=True))) == ["failed"]


def test_a_machine_that_cannot_try_a_case_is_no_failure_of_the_case() -> None:
    failure = Failure(kind=FailureKind.HOST, stage=None, message="no disk", remedy="free some")
    result = failed_result(failure)
    assert statuses(list(judge("x", result, of_case=True))) == ["not_checked"]
