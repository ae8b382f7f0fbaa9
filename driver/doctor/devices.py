"""Checks of a vendor's devices: its host driver, device nodes, permissions, mounts, monitor. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driver.doctor.facts import User
from driver.doctor.finding import failed, not_checked, note, ok
from driver.doctor.stacks import needs_containers
from driver.models.base import RunnerName
from driver.monitors.sources import command_of
from driver.plan.processor import lacking, misfit
from driver.runners.spec import guest_user
from driver.stacks.host_driver import hangs, install, is_enough, needed, remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.doctor.facts import Facts, Node, StackFact
    from driver.doctor.finding import Finding
    from driver.stacks.host_driver import DriverFact

READ_WRITE = 0o6


def check_devices(facts: Facts, runner: RunnerName | None = None) -> Iterator[Finding]:
    """Yield the findings about the vendor's devices, for a runner (default: the one a run would use).

    In the order in which a run checks them: what is no consequence of something else comes first.
    """
    if any(stack.wanted and stack.stand_in for stack in facts.stacks):
        yield ok(
            "devices",
            "not needed: the image is a stand-in with simulated devices",
        )
        yield _monitor(facts)
        return
    runner = runner or (RunnerName.DOCKER if needs_containers(facts) else RunnerName.PROCESS)
    spec = facts.vendor.manifest.devices
    yield from _processor(facts)
    if not facts.nodes and spec.gpus == "none":
        yield ok("devices", "not needed")
    for node in facts.nodes:
        yield _node(node, facts, runner)
    if facts.gpu_problem:
        yield failed(
            "GPU", facts.gpu_problem, "run on a host with a GPU, or install its host driver"
        )
    yield from _selection(facts)
    # The wanted stack's first: it is the one that stops a run.
    for stack in sorted(facts.stacks, key=lambda stack: not stack.wanted):
        if stack.driver is not None:
            yield _driver(stack, stack.driver)
    for mount in facts.host_mounts:
        yield _host_mount(mount.source, optional=mount.optional, exists=mount.exists)
    for group in spec.groups:
        if group not in facts.group_ids:
            yield note(
                f"group {group}",
                "this host has no such group, so no device here belongs to it",
                "nothing to do, unless access to a device above is denied",
            )
    yield _monitor(facts)


def _processor(facts: Facts) -> Iterator[Finding]:
    """Check the processor that vendor.toml asks for; without one's instructions, other precisions still run."""
    wanted = facts.vendor.manifest.processor
    if not wanted.vendor_id and not wanted.flags:
        return
    what = f"processor for {facts.vendor.name}"
    unfit = misfit(facts.vendor, facts.processor, facts.vendors)
    if unfit is not None:
        yield failed(what, *unfit)
        return
    yield ok(what, facts.processor.model)
    for arithmetic in wanted.flags:
        found = lacking(facts.vendor, facts.processor, arithmetic)
        if found is not None:
            yield note(f"{what}: {arithmetic}", *found)


def _driver(stack: StackFact, driver: DriverFact) -> Finding:
    what = f"host driver for {stack.stack.name}"
    requirement = driver.requirement
    # An undocumented minimum must not refuse a run.
    wrong = failed if stack.wanted and requirement.documented else note
    if driver.version is None:
        said = f"{driver.said}; version {requirement.minimum} or later is needed"
        return wrong(what, said, remedy(driver))
    enough = is_enough(driver.version, requirement)
    if enough is None:
        return not_checked(
            what,
            f"found {driver.version!r}, which cannot be compared with {requirement.minimum!r}",
            "compare the two yourself, and fix [drivers] in vendor.toml",
        )
    if not enough:
        return wrong(
            what,
            f"{driver.version} is too old; needed: {needed(requirement)} ({driver.said})",
            install(requirement),
        )
    return ok(what, f"{driver.version} (needed: {needed(requirement)}; {driver.said})")


def _node(node: Node, facts: Facts, runner: RunnerName) -> Finding:
    what = f"device {node.path}"
    if not node.exists:
        return failed(
            what,
            "there is no such device node",
            "load the vendor's kernel driver (its installer does), or choose an existing device: "
            "DEVICE=<number>",
        )
    if node.is_folder:
        return failed(
            what,
            "this folder has no device node",
            "load the vendor's kernel driver (its installer does)",
        )
    if not node.is_device:
        return failed(what, "this is not a device node", "fix `nodes` in vendor.toml")
    user = opener(facts, runner)
    owner = f"mode {node.mode:03o}, group {node.group or node.gid}"
    if permitted(node, user):
        return ok(what, f"accessible, {owner}")
    who = "the container's user" if runner is RunnerName.DOCKER else "user"
    return failed(
        what, f"{who} {user.uid} cannot read and write it ({owner})", _allow(node, facts, runner)
    )


def opener(facts: Facts, runner: RunnerName) -> User:
    """Return the user that opens the devices: the caller, or the guest user of a container.

    A guest has its own group and those that vendor.toml adds, none of the caller's other groups, and
    no capability that overrides file permissions.
    """
    caller = facts.user
    if runner is not RunnerName.DOCKER:
        return caller
    if facts.engine.rootless:
        # The caller, in a user namespace without the host's other groups.
        return replace(caller, gids=frozenset({caller.gid}))
    uid, gid = guest_user(caller.uid, caller.gid)
    named = facts.vendor.manifest.devices.groups
    granted = {facts.group_ids[name] for name in named if name in facts.group_ids}
    return User(uid=uid, gid=gid, gids=frozenset({gid}) | granted)


def permitted(node: Node, user: User) -> bool:
    """Return whether a user can read and write a node."""
    if user.uid == 0:
        return True
    shift = 6 if node.uid == user.uid else 3 if node.gid in user.gids else 0
    return (node.mode >> shift) & READ_WRITE == READ_WRITE


def _allow(node: Node, facts: Facts, runner: RunnerName) -> str:
    """Return how to get access to a node; never through the group root, which would own the host."""
    contained = runner is RunnerName.DOCKER
    of_group = (node.mode >> 3) & READ_WRITE == READ_WRITE and node.gid != 0
    if contained and facts.engine.rootless:
        return (
            "a rootless engine does not pass groups on; use a system-wide engine, or a udev rule with "
            "mode 666"
        )
    if not of_group:
        return (
            "add a udev rule that gives it its own group and mode 660 (the vendor's installer has "
            "one), and name that group under [devices] in vendor.toml"
        )
    group = node.group or str(node.gid)
    if contained:
        return f'add "{group}" to `groups` under [devices] in vendor.toml; a guest gets no others'
    return f"type: sudo usermod -aG {group} $USER, then log in again"


def _host_mount(source: str, *, optional: bool, exists: bool) -> Finding:
    what = f"mount {source}"
    if exists:
        return ok(what, "exists")
    if optional:
        return note(
            what, "missing, but optional according to vendor.toml", "install it if a run needs it"
        )
    return failed(
        what,
        "this part of the vendor's driver is missing",
        "install the vendor's host driver, or fix `mounts` under [devices] in vendor.toml",
    )


def _monitor(facts: Facts) -> Finding:
    spec, fact = facts.vendor.manifest.monitor, facts.monitor
    if spec.parser == "none":
        return note(
            "monitor",
            "vendor.toml names none, so results have no memory, power or temperature",
            "name one under [monitor] in vendor.toml",
        )
    if fact.problem:
        return note(
            "monitor",
            f"{fact.problem}; runs continue without memory, power and temperature",
            hangs(command_of(spec))
            if fact.hung
            else _how_to_get(spec.command[0] if spec.command else spec.parser),
        )
    mark = "simulated by a stand-in: " if fact.simulated else ""
    return ok("monitor", mark + "; ".join(fact.devices))


def _how_to_get(program: str) -> str:
    if "/" in program:
        return f"run {program} by hand to see why; [monitor] in vendor.toml names it"
    return f"put {program} on PATH; the vendor's host driver includes it"


def _selection(facts: Facts) -> Iterator[Finding]:
    """Check DEVICE against the monitor's devices if no device node has a number in its name."""
    spec, monitor = facts.vendor.manifest.devices, facts.monitor
    numbered = any("{index}" in node and node.startswith("/") for node in spec.nodes)
    none = not spec.nodes and spec.gpus == "none"
    if numbered or none or not monitor.indices:
        return
    for device in (part.strip() for part in facts.device.split(",")):
        what = f"DEVICE={device}"
        if device in monitor.indices or device in monitor.uuids:
            yield ok(what, "the monitor reports it")
        elif device.startswith("MIG-"):
            yield not_checked(
                what, "the monitor does not report the parts of a device", "nvidia-smi -L"
            )
        else:
            yield failed(
                what,
                f"the monitor reports no such device (it reports: {', '.join(monitor.indices)})",
                f"choose one of them: DEVICE={monitor.indices[0]}",
            )
