"""`check`: checks a vendor's or a case's folder and lists what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from driver.check.case import check_case, judge_macs, plan_case_trial
from driver.check.trial import RUNNERS, Trial, judge, plan_trials, run_trial
from driver.check.vendor import check_vendor
from driver.doctor.finding import document, failed, failures
from driver.doctor.probe import gather
from driver.errors import UsageFault, unknown
from driver.models.base import RunnerName
from driver.models.result import Result
from driver.stacks.host_python import catalog_here
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog
from driver.verbs.showing.findings import show_findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.catalog.catalog import Case, Catalog
    from driver.catalog.manifests import Invalid
    from driver.catalog.vendor import Vendor
    from driver.console import Console
    from driver.doctor.finding import Finding
    from driver.system.settings import Settings

SCHEMA = "assay/check/1"
NO_RUN = "none"
"""The value of RUNNER that runs nothing and only checks the folder."""


def check(vendor: str | None, case: str | None, runner: str | None, console: Console) -> int:
    """Check a vendor or a case; with neither, check all of them without running anything.

    Returns 0 if no check failed (checks that could not be done here do not count), else 1.
    """
    settings = load_settings()
    if vendor and case:
        raise UsageFault(
            "check takes one vendor or one case, not both", "give VENDOR or CASE, not both"
        )
    runners = _runners(runner)
    if not vendor and not case:
        every = load_catalog(settings.root, settings.vendor_path, settings.case_path)
        return _end({"folders": "every vendor and case"}, _everything(every), console)
    catalog = read_catalog(settings, console)
    if vendor:
        findings = of_vendor(settings, catalog, catalog.vendor(vendor), runners, console)
        return _end({"vendor": vendor}, findings, console)
    assert case is not None
    one = catalog.case(case)
    findings = of_case(settings, catalog, one, runner, console)
    return _end({"case": one.name}, findings, console)


def of_vendor(
    settings: Settings,
    catalog: Catalog,
    vendor: Vendor,
    runners: tuple[RunnerName, ...],
    console: Console,
) -> list[Finding]:
    """Return the findings about a vendor: its folders, then its hook on a tiny job."""
    found = [*_invalid(vendor.invalid), *check_vendor(vendor)]
    if not runners or not vendor.stacks:
        return found
    catalog = catalog_here(settings)
    for one in catalog.vendor(vendor.name).hardware:
        facts = gather(settings, catalog, one, wanted=one.manifest.default_stack)
        for trial in plan_trials(facts, runners):
            found += _tried(trial, settings, catalog, console)
    return found


def of_case(
    settings: Settings, catalog: Catalog, case: Case, runner: str | None, console: Console
) -> list[Finding]:
    """Return the findings about a case: its folder, then one tiny job on the host's processor."""
    found = check_case(case)
    if runner == NO_RUN:
        return found
    trial = plan_case_trial(case, RunnerName(runner) if runner else None)
    if not isinstance(trial, Trial):
        return [*found, trial]
    console.say(f"  {trial.what} …")
    result = run_trial(trial, settings, catalog, console)
    if isinstance(result, Result):
        return [*found, *judge(trial.what, result, of_case=True), judge_macs(case, result)]
    return [*found, result]


def _tried(
    trial: Trial | Finding, settings: Settings, catalog: Catalog, console: Console
) -> list[Finding]:
    if not isinstance(trial, Trial):
        return [trial]
    console.say(f"  {trial.what} …")
    result = run_trial(trial, settings, catalog, console)
    return list(judge(trial.what, result)) if isinstance(result, Result) else [result]


def _everything(catalog: Catalog) -> list[Finding]:
    found = _invalid(catalog.invalid)
    found += [_of(name, one) for name, v in catalog.vendors.items() for one in check_vendor(v)]
    found += [_of(name, one) for name, c in catalog.cases.items() for one in check_case(c)]
    return found


def _invalid(manifests: Iterable[Invalid]) -> list[Finding]:
    return [
        failed(f"{one.what} {one.folder.name}", one.fault.message, one.fault.remedy)
        for one in manifests
    ]


def _of(name: str, finding: Finding) -> Finding:
    return finding.model_copy(update={"what": f"{name}: {finding.what}"})


def _runners(runner: str | None) -> tuple[RunnerName, ...]:
    if runner is None:
        return RUNNERS
    if runner == NO_RUN:
        return ()
    if runner not in RUNNERS:
        raise unknown("runner of a check", runner, (*RUNNERS, NO_RUN))
    return (RunnerName(runner),)


def _end(subject: dict[str, str], findings: list[Finding], console: Console) -> int:
    if console.as_json:
        console.document(document(SCHEMA, subject, findings))
    else:
        show_findings(findings, console, f"check of {' '.join(subject.values())}")
    wrong = failures(findings)
    unchecked = [one for one in findings if one.status == "not_checked"]
    summary = f"{counted(len(wrong), 'check')} failed" if wrong else "no check failed"
    console.say(summary + (f"; {len(unchecked)} could not be done here" if unchecked else ""))
    return 1 if wrong else 0
