"""`doctor`: reports what this machine has and lacks for a vendor, before anything is pulled or built."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driver.doctor.diagnosis import diagnose
from driver.doctor.finding import document, failures
from driver.doctor.probe import gather
from driver.errors import EnvironmentFault
from driver.runners.leftovers import reap_leftovers
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog_here
from driver.verbs.showing.findings import list_failures, show_findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.vendor import Vendor
    from driver.console import Console
    from driver.doctor.finding import Finding

SCHEMA = "assay/doctor/1"


def doctor(given: Mapping[str, str | None], console: Console) -> int:
    """Check this machine; return 0, or 3 if something that a run needs is missing.

    ``given`` has vendor, stack, device and case, each None if the user left it out. The stack (default:
    the vendor's default) decides what is needed; other stacks are only listed. With a case, its weights
    and dataset are needed too, and what stops its run comes first. What killed runs of this home left,
    containers included, is removed first.
    """
    settings = load_settings()
    catalog = read_catalog_here(settings, console)
    vendor = catalog.vendor(given.get("vendor") or "cpu")
    wanted = given.get("stack") or vendor.manifest.default_stack
    vendor.stack_named(wanted)
    vendor = vendor.for_request(wanted, None, None)
    reap_leftovers(settings.home, console.note, ask_engine=True)
    named = given.get("case")
    cases = [catalog.case(named)] if named else list(catalog.cases.values())
    device = given.get("device") or "0"
    facts = gather(settings, catalog, vendor, wanted=wanted, device=device, cases=cases)
    findings = diagnose(replace(facts, case_named=bool(named)))
    subject = {"vendor": vendor.name, "stack": wanted} | ({"case": cases[0].name} if named else {})
    if console.as_json:
        console.document(document(SCHEMA, subject, findings))
    else:
        _show(findings, console, vendor, wanted, settings.host, _command(given) if named else None)
    wrong = failures(findings)
    verdict = _verdict(settings.host, len(wrong), vendor.name, _command(given))
    console.say(console.advice(verdict))
    return EnvironmentFault.exit_code if wrong else 0


def _show(
    findings: list[Finding],
    console: Console,
    vendor: Vendor,
    stack: str,
    host: str | None,
    run: str | None,
) -> None:
    """Show the findings; what stops ``run``, the run of a case, comes first."""
    if run is not None:
        wrong = failures(findings)
        count = f"{counted(len(wrong), 'problem')} of {_machine(host)}" if wrong else "nothing here"
        console.text(f"`{run}`: {count} {'stop it' if len(wrong) > 1 else 'stops it'}")
        list_failures(findings, console)
    title = f"{vendor.manifest.title} ({stack}) on {_machine(host)}"
    show_findings(findings, console, title, with_failures=run is None)


def _command(given: Mapping[str, str | None]) -> str:
    """Return the run that the user asked about, with everything that they typed."""
    typed = ("case", "vendor", "stack", "device")
    words = [f"{name.upper()}={given[name]}" for name in typed if given.get(name)]
    return " ".join(["make run", *(words or ["VENDOR=cpu"])])


def _machine(host: str | None) -> str:
    return host or "this machine"


def _verdict(host: str | None, missing: int, vendor: str, run: str) -> str:
    if missing:
        return f"{_machine(host)} lacks {counted(missing, 'thing')} that {vendor} needs"
    if host is not None:
        return f"{host} has all that can be seen from here of what {vendor} needs; next: {run}"
    return f"this machine has everything that {vendor} needs; next: {run}"
