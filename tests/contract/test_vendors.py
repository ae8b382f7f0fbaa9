"""Every vendor of the tree passes the same check that a stranger's folder must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.catalog import load_catalog
from driver.check.stacks import check_stack
from driver.check.trial import Trial, judge, plan_trials, run_trial
from driver.check.vendor import check_vendor
from driver.console import Console
from driver.doctor.probe import gather
from driver.findings import Finding, failures
from driver.models.base import RunnerName
from driver.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
CATALOG = load_catalog(ROOT)
VENDORS = sorted(CATALOG.vendors)
ALONE = [
    name
    for name in VENDORS
    if any(stack.manifest.process_runner for stack in CATALOG.vendors[name].stacks.values())
]
"""Vendors with a stack that a virtual environment can stand in for."""


def told(findings: list[Finding]) -> list[str]:
    return [f"{one.what}: {one.found} → {one.remedy}" for one in failures(findings)]


def went_wrong(findings: list[Finding]) -> list[str]:
    """Return what a trial that was run found wrong, also what it could not check after all."""
    unchecked = [f"{one.what}: {one.found}" for one in findings if one.status == "not_checked"]
    return [*told(findings), *unchecked]


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_folders_are_whole(name: str) -> None:
    assert told(check_vendor(CATALOG.vendors[name])) == []


def test_the_reference_stack_is_whole() -> None:
    assert told(list(check_stack(CATALOG.reference, "reference"))) == []


def keeps_the_contract(name: str, runner: RunnerName) -> None:
    """Try the vendor's default engine on the tiny case; skip where this machine cannot.

    What goes wrong in a stage is never a reason to skip, whoever it is booked on.
    """
    settings, vendor = load_settings(), CATALOG.vendors[name]
    facts = gather(settings, CATALOG, vendor, wanted=vendor.manifest.default_stack)
    place = list(vendor.manifest.engines).index(vendor.manifest.default_engine)
    trial = plan_trials(facts, (runner,))[place]
    result = run_trial(trial, settings, CATALOG, Console()) if isinstance(trial, Trial) else trial
    if isinstance(result, Finding):
        pytest.skip(f"{result.found}; {result.remedy}")
    assert went_wrong(list(judge(trial.what, result))) == []


@pytest.mark.stack
@pytest.mark.parametrize("name", ALONE)
def test_a_vendors_hook_keeps_the_contract_in_process(name: str) -> None:
    keeps_the_contract(name, RunnerName.PROCESS)


@pytest.mark.container
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_hook_keeps_the_contract_in_container(name: str) -> None:
    keeps_the_contract(name, RunnerName.DOCKER)
