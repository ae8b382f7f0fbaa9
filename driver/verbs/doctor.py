"""`doctor`: what this machine has and lacks for a vendor, before anything is pulled or compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.doctor.diagnosis import diagnose
from driver.doctor.probe import gather
from driver.errors import EnvironmentFault, unknown
from driver.findings import document, failures
from driver.host_python import catalog_here
from driver.settings import load_settings
from driver.verbs.findings import show_findings

if TYPE_CHECKING:
    from driver.console import Console

SCHEMA = "assay/doctor/1"


def doctor(vendor_name: str, stack: str | None, device: str, console: Console) -> int:
    """Look this machine over; return 0, or 3 when something is missing that a run needs.

    ``stack`` (default: the vendor's own default) decides what is needed; of the others it is only told.
    """
    settings = load_settings()
    catalog = catalog_here(settings)
    vendor = catalog.vendor(vendor_name)
    wanted = stack or vendor.manifest.default_stack
    if wanted not in vendor.stacks:
        raise unknown(f"stack of vendor {vendor.name}", wanted, vendor.stacks)
    cases = catalog.cases.values()
    facts = gather(settings, catalog, vendor, wanted=wanted, device=device, cases=cases)
    findings = diagnose(facts)
    subject = {"vendor": vendor.name, "stack": wanted}
    if console.as_json:
        console.document(document(SCHEMA, subject, findings))
    else:
        show_findings(findings, console, f"{vendor.manifest.title} ({wanted}) on this machine")
    wrong = failures(findings)
    console.say(_verdict(len(wrong), vendor.name))
    return EnvironmentFault.exit_code if wrong else 0


def _verdict(missing: int, vendor: str) -> str:
    if missing:
        return f"{missing} thing(s) that {vendor} needs are missing on this machine"
    return f"this machine has what {vendor} needs; next: make run VENDOR={vendor}"
