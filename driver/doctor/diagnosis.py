"""Runs every check on the facts, in the order in which a run would need them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.doctor.devices import check_devices
from driver.doctor.finding import not_checked
from driver.doctor.machine import check_machine, check_material
from driver.doctor.stacks import check_stacks

if TYPE_CHECKING:
    from driver.doctor.facts import Facts
    from driver.doctor.finding import Finding


def diagnose(facts: Facts) -> list[Finding]:
    """Return all findings about this machine."""
    return [
        *_devices(facts),
        *check_stacks(facts),
        *check_material(facts),
        *check_machine(facts),
    ]


def _devices(facts: Facts) -> list[Finding]:
    """Return the findings about devices and monitor, which nobody sees from here on another host."""
    if facts.host is None:
        return list(check_devices(facts))
    return [
        not_checked(
            "devices and monitor",
            f"they are those of {facts.host}; its engine refuses a container whose devices it lacks",
            f"on {facts.host}: make doctor VENDOR={facts.vendor.name}",
        )
    ]
