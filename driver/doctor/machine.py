"""Checks of the machine (processor, memory, disk) and of the cases' weights and datasets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.doctor.finding import failed, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.doctor.facts import CaseFact, Facts, Machine, Unavailable
    from driver.doctor.finding import Finding

GIB = 1 << 30
LEAST_DISK_GIB = 5.0
"""Wheels, environments and images of the reference and cpu stacks take 4 GiB; a small job needs the rest."""
EASY_DISK_GIB = 30.0
"""Exporting Stable Diffusion takes 10 GiB, ImageNet's validation set 7 GiB."""
LEAST_MEMORY_GIB = 3.0


def check_machine(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about processor, memory and disk."""
    machine = facts.machine
    if machine.threads > 1:
        yield ok("processor", f"{machine.threads} hardware threads")
    else:
        yield note(
            "processor",
            "one hardware thread; decoding will limit p_infer_whole",
            "use a machine with more processor cores to measure p_infer_whole",
        )
    yield _memory(facts)
    yield _disk(machine)


def check_material(facts: Facts) -> Iterator[Finding]:
    """Yield one finding per case about its weights, then one per dataset."""
    for case in facts.cases:
        yield _material(f"weights of {case.name}", case.weights, needed=facts.case_named)
    users: dict[str, list[CaseFact]] = {}
    for case in facts.cases:
        users.setdefault(case.dataset_name, []).append(case)
    for name, cases in users.items():
        who = ", ".join(case.name for case in cases)
        found = cases[0].dataset
        yield _material(f"dataset {name} ({who})", found, needed=facts.case_named)


def _memory(facts: Facts) -> Finding:
    memory_gib = facts.machine.memory_bytes / GIB
    if memory_gib < LEAST_MEMORY_GIB:
        return failed(
            "memory",
            f"{memory_gib:.1f} GiB, but at least {LEAST_MEMORY_GIB:g} GiB are needed",
            "use a machine (or a container limit) with more memory",
        )
    large = [case for case in facts.cases if case.memory_gib > memory_gib]
    if large:
        return note(
            "memory",
            f"{memory_gib:.1f} GiB; too little for {_names(large)}",
            "use a smaller BS for them",
        )
    return ok("memory", f"{memory_gib:.1f} GiB")


def _names(cases: list[CaseFact]) -> str:
    return ", ".join(f"{case.name} ({case.memory_gib:g} GiB)" for case in cases)


def _disk(machine: Machine) -> Finding:
    if machine.home_problem:
        return failed(
            "disk", machine.home_problem, "set ASSAY_HOME to a folder that you can write to"
        )
    free_gib = machine.free_bytes / GIB
    found = f"{free_gib:.1f} GiB free at {machine.home}"
    if free_gib < LEAST_DISK_GIB:
        return failed(
            "disk",
            f"{found}, but at least {LEAST_DISK_GIB:g} GiB are needed",
            "free some space (make clean), or set ASSAY_HOME to a folder on a larger disk",
        )
    if free_gib < EASY_DISK_GIB:
        return note(
            "disk",
            f"{found}; the large cases and ImageNet need {EASY_DISK_GIB:g} GiB",
            "set ASSAY_HOME to a folder on a larger disk for them",
        )
    return ok("disk", found)


def _material(what: str, found: str | Unavailable, *, needed: bool) -> Finding:
    if isinstance(found, str):
        return ok(what, found)
    return (failed if needed else note)(what, found.message, found.remedy)
