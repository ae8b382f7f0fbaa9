"""Every vendor of the tree passes the same check that a stranger's folder must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.stacks import check_stack
from driver.check.trial import Trial, judge, plan_trials, run_trial
from driver.check.vendor import check_vendor
from driver.console import Console
from driver.doctor.finding import Finding, failures
from driver.doctor.probe import gather
from driver.models.base import RunnerName
from driver.system.settings import load_settings
from tests.harness.forks import used_s
from tests.short_run import measure_briefly

ROOT = Path(__file__).resolve().parents[2]
CATALOG = load_catalog(ROOT)
VENDORS = sorted(CATALOG.vendors)
ALONE = [
    name
    for name in VENDORS
    if any(stack.manifest.process_runner for stack in CATALOG.vendors[name].stacks.values())
]
"""Vendors with a stack that a virtual environment can stand in for."""


def messages(findings: list[Finding]) -> list[str]:
    return [f"{one.what}: {one.found} → {one.remedy}" for one in failures(findings)]


def went_wrong(findings: list[Finding]) -> list[str]:
    """Return what a trial that was run found wrong, also what it could not check after all."""
    unchecked = [f"{one.what}: {one.found}" for one in findings if one.status == "not_checked"]
    return [*messages(findings), *unchecked]


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_folders_are_whole(name: str) -> None:
    assert messages(check_vendor(CATALOG.vendors[name])) == []


def test_the_reference_stack_is_whole() -> None:
    assert messages(list(check_stack(CATALOG.reference, "reference"))) == []


def keeps_the_contract(name: str, runner: RunnerName) -> None:
    """Try the vendor's default engine in every stack on the tiny case; skip where this machine cannot.

    What goes wrong in a stage is never a reason to skip, whatever it is attributed to.
    """
    settings, vendor = load_settings(), CATALOG.vendors[name]
    facts = gather(settings, CATALOG, vendor, wanted=vendor.manifest.default_stack)
    default = vendor.manifest.default_engine
    planned = [one for one in plan_trials(facts, (runner,)) if f" {default} in " in one.what]
    assert planned
    results = [
        (one.what, run_trial(one, settings, CATALOG, Console()))
        for one in planned
        if isinstance(one, Trial)
    ]
    tried = [(what, one) for what, one in results if not isinstance(one, Finding)]
    assert [text for what, one in tried for text in went_wrong(list(judge(what, one)))] == []
    if not tried:
        held_up = [
            one for one in (*planned, *(one for _, one in results)) if isinstance(one, Finding)
        ]
        pytest.skip(f"{held_up[0].found}; {held_up[0].remedy}")


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure of a trial is used."""
    measure_briefly(monkeypatch)


@pytest.mark.stack
@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("name", ALONE)
def test_a_vendors_hook_keeps_the_contract_in_process(name: str) -> None:
    before = used_s()
    keeps_the_contract(name, RunnerName.PROCESS)
    # Hooks as they are would do, at thrice the time.
    assert name != "cpu" or used_s() > before


@pytest.mark.container
@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_hook_keeps_the_contract_in_container(name: str) -> None:
    keeps_the_contract(name, RunnerName.DOCKER)
