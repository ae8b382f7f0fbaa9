"""`check`: whether a vendor's or a case's folder is whole, and what is missing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.catalog import load_catalog
from driver.check.case import check_case, judge_macs, plan_case_trial
from driver.check.trial import RUNNERS, Trial, judge, plan_trials, run_trial
from driver.check.vendor import check_vendor
from driver.doctor.probe import gather
from driver.errors import UsageFault, unknown
from driver.findings import document, failures
from driver.host_python import catalog_here
from driver.models.base import RunnerName
from driver.models.result import Result
from driver.settings import load_settings
from driver.verbs.findings import show_findings

if TYPE_CHECKING:
    from driver.catalog import Case, Catalog, Vendor
    from driver.console import Console
    from driver.findings import Finding
    from driver.settings import Settings

SCHEMA = "assay/check/1"
NO_RUN = "none"
"""The value of RUNNER that runs nothing: only the folder is looked at."""


def check(vendor: str | None, case: str | None, runner: str | None, console: Console) -> int:
    """Check a vendor or a case; with neither every one of them, without running anything.

    Returns 0 when nothing that could be checked failed, else 1.
    """
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    if vendor and case:
        raise UsageFault("check looks at a vendor or at a case", "give VENDOR or CASE, not both")
    runners = _runners(runner)
    if vendor:
        findings = of_vendor(settings, catalog, catalog.vendor(vendor), runners, console)
        return _end({"vendor": vendor}, findings, console)
    if case:
        one = catalog.case(case)
        findings = of_case(settings, catalog, one, runner, console)
        return _end({"case": one.name}, findings, console)
    return _end({"folders": "every vendor and case"}, _everything(catalog), console)


def of_vendor(
    settings: Settings,
    catalog: Catalog,
    vendor: Vendor,
    runners: tuple[RunnerName, ...],
    console: Console,
) -> list[Finding]:
    """Return what is found of a vendor: its folders, then its hook on a tiny job."""
    found = check_vendor(vendor)
    if not runners or not vendor.stacks:
        return found
    catalog = catalog_here(settings)
    vendor = catalog.vendor(vendor.name)
    facts = gather(settings, catalog, vendor, wanted=vendor.manifest.default_stack)
    for trial in plan_trials(facts, runners):
        found += _tried(trial, settings, catalog, console)
    return found


def of_case(
    settings: Settings, catalog: Catalog, case: Case, runner: str | None, console: Console
) -> list[Finding]:
    """Return what is found of a case: its folder, then one tiny job on the host's processor."""
    found = check_case(case)
    if runner == NO_RUN:
        return found
    trial = plan_case_trial(case, RunnerName(runner) if runner else None)
    if not isinstance(trial, Trial):
        return [*found, trial]
    console.say(f"  {trial.what} …")
    result = run_trial(trial, settings, catalog, console)
    if isinstance(result, Result):
        return [*found, *judge(trial.what, result), judge_macs(case, result)]
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
    found = [_of(name, one) for name, v in catalog.vendors.items() for one in check_vendor(v)]
    found += [_of(name, one) for name, c in catalog.cases.items() for one in check_case(c)]
    return found


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
    wrong, tried = failures(findings), [one for one in findings if one.status == "not_checked"]
    told = (
        f"{len(wrong)} thing(s) are missing or wrong" if wrong else "nothing that was checked fails"
    )
    console.say(told + (f"; {len(tried)} could not be checked here" if tried else ""))
    return 1 if wrong else 0
