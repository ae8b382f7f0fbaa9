"""Checks of a vendor's devices: its host driver, device nodes, permissions, mounts, monitor. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.findings import failed, not_checked, note, ok
from driver.host_driver import hangs, install, is_enough, needed, remedy
from driver.monitors.sources import command_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.doctor.facts import Facts, Node, StackFact
    from driver.findings import Finding
    from driver.host_driver import DriverFact

READ_WRITE = 0o6


def check_devices(facts: Facts) -> Iterator[Finding]:
    """Yield what is found of the vendor's devices."""
    for stack in facts.stacks:
        if stack.driver is not None:
            yield _driver(stack, stack.driver)
    spec = facts.vendor.manifest.devices
    if not facts.nodes and spec.gpus == "none":
        yield ok("devices", "none is needed")
    for node in facts.nodes:
        yield _node(node, facts)
    for mount in facts.host_mounts:
        yield _host_mount(mount.source, optional=mount.optional, exists=mount.exists)
    for group in spec.groups:
        if group not in facts.group_ids:
            yield note(
                f"group {group}",
                "this host has no such group, so it owns no device here",
                "nothing to do unless a device below is not permitted",
            )
    yield _monitor(facts)


def _driver(stack: StackFact, driver: DriverFact) -> Finding:
    what = f"host driver for {stack.stack.name}"
    requirement = driver.requirement
    wrong = failed if stack.wanted else note
    if driver.version is None:
        said = f"{driver.said}; at least {requirement.minimum} is needed"
        return wrong(what, said, remedy(driver))
    enough = is_enough(driver.version, requirement)
    if enough is None:
        return not_checked(
            what,
            f"found {driver.version!r}, which cannot be set against {requirement.minimum!r}",
            "compare the two yourself, and mend [drivers] in vendor.toml",
        )
    if not enough:
        wrong = wrong if requirement.documented else note
        return wrong(
            what,
            f"{driver.version} is older than what it needs: {needed(requirement)}",
            install(requirement),
        )
    return ok(what, f"{driver.version} (needed: {needed(requirement)})")


def _node(node: Node, facts: Facts) -> Finding:
    what = f"device {node.path}"
    if not node.exists:
        return failed(
            what,
            "there is no such device node",
            "load the vendor's kernel driver (its installer does), or choose a device that is there: "
            "DEVICE=",
        )
    if not node.is_device:
        return failed(what, "this is no device node", "mend `nodes` in vendor.toml")
    if permitted(node, facts):
        return ok(what, f"there, {node.mode:03o} {node.group or node.gid}")
    return failed(
        what,
        f"user {facts.user.uid} may not read and write it (mode {node.mode:03o}, group "
        f"{node.group or node.gid})",
        f"type: sudo usermod -aG {node.group or node.gid} $USER, and log in again",
    )


def permitted(node: Node, facts: Facts) -> bool:
    """Say whether the caller, with the groups that vendor.toml adds, may read and write a node."""
    user = facts.user
    if user.uid == 0:
        return True
    granted = {
        facts.group_ids[name]
        for name in facts.vendor.manifest.devices.groups
        if name in facts.group_ids
    }
    shift = 6 if node.uid == user.uid else 3 if node.gid in user.gids | granted else 0
    return (node.mode >> shift) & READ_WRITE == READ_WRITE


def _host_mount(source: str, *, optional: bool, exists: bool) -> Finding:
    what = f"mount {source}"
    if exists:
        return ok(what, "there")
    if optional:
        return note(
            what, "not there; the vendor calls it optional", "install it if a run asks for it"
        )
    return failed(
        what,
        "this part of the vendor's driver is not there",
        "install the vendor's host driver, or mend `mounts` under [devices] in vendor.toml",
    )


def _monitor(facts: Facts) -> Finding:
    spec, fact = facts.vendor.manifest.monitor, facts.monitor
    if spec.parser == "none":
        return note(
            "monitor",
            "the vendor names none: no memory, power or temperature beside its figures",
            "name one under [monitor] in vendor.toml",
        )
    if fact.problem:
        return note(
            "monitor",
            f"{fact.problem}; runs go on without memory, power and temperature",
            hangs(command_of(spec))
            if fact.hung
            else f"put {spec.parser} on PATH; it comes with the vendor's host driver",
        )
    mark = "simulated by a stand-in: " if fact.simulated else ""
    return ok("monitor", mark + "; ".join(fact.devices))
