"""Checks of a vendor's stacks: manifest, Dockerfile, base image, lock file and installers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.check.dockerfile import broken_rules
from driver.doctor.finding import failed, note, ok
from driver.errors import AssayError
from driver.stacks.locks import is_current, parse_lock
from driver.stacks.recipes import LOCK
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog.vendor import Stack, Vendor
    from driver.doctor.finding import Finding
    from driver.stacks.locks import Pin


def check_stacks(vendor: Vendor) -> Iterator[Finding]:
    """Yield the findings about every stack of a vendor."""
    for stack in vendor.stacks.values():
        yield from check_stack(stack, vendor.name)


def check_stack(stack: Stack, vendor: str) -> Iterator[Finding]:
    """Yield the findings about one stack, which should be ``vendor``'s."""
    yield from _names(stack, vendor)
    yield from _dockerfile(stack)
    yield from _base(stack)
    yield from _lock(stack)
    yield from _installers(stack)


def _names(stack: Stack, vendor: str) -> Iterator[Finding]:
    where = f"stack {stack.folder.name}: stack.toml"
    if stack.name != stack.folder.name:
        yield failed(where, f"name = {stack.name!r}", f'write name = "{stack.folder.name}"')
    if stack.vendor != vendor:
        yield failed(where, f"vendor = {stack.vendor!r}", f'write vendor = "{vendor}"')
    if not stack.manifest.versions:
        yield failed(
            where,
            "[versions] is empty",
            "name the SDK, compiler and framework, each with its version",
        )


def _dockerfile(stack: Stack) -> Iterator[Finding]:
    what = f"stack {stack.name}: Dockerfile"
    path = stack.folder / "Dockerfile"
    if not path.is_file():
        yield failed(
            what, "it is missing", "make new-vendor NAME=<other name> creates one to copy and adapt"
        )
        return
    broken = list(broken_rules(path.read_text(encoding="utf-8"), stack.manifest.base.image))
    for problem, remedy in broken:
        yield failed(what, problem, remedy)
    if not broken:
        yield ok(what, "two stages, base image as an argument, no network, not root")


def _base(stack: Stack) -> Iterator[Finding]:
    base = stack.manifest.base
    what = f"stack {stack.name}: base image"
    if base.digest is None:
        yield note(
            what,
            f"{base.image} is unpinned, so every result in a container has a warning",
            f"make pin VENDOR={stack.vendor} STACK={stack.name}, on a machine that reaches a registry",
        )
    else:
        yield ok(what, f"{base.image} at {base.digest[:19]}…")


def _lock(stack: Stack) -> Iterator[Finding]:
    what = f"stack {stack.name}: {LOCK}"
    requirements, lock = stack.folder / "requirements.in", stack.folder / LOCK
    if not lock.is_file():
        if requirements.is_file() or stack.manifest.process_runner:
            yield failed(what, "it is missing", "make lock")
        return
    try:
        pins = parse_lock(lock)
    except AssayError as error:
        yield failed(what, error.message, error.remedy)
        return
    if requirements.is_file() and not is_current(requirements):
        yield failed(what, "requirements.in changed after it was made", "make lock")
    elif not requirements.is_file():
        yield note(
            what, "the requirements.in that it comes from is missing", "write one, then: make lock"
        )
    else:
        yield ok(what, f"{counted(len(pins), 'package')}, with hashes")
    yield from _versions(stack, pins)


def _versions(stack: Stack, pins: tuple[Pin, ...]) -> Iterator[Finding]:
    locked = {pin.name: pin.version for pin in pins}
    for name, version in stack.manifest.versions.items():
        if locked.get(name, version) != version:
            yield failed(
                f"stack {stack.name}: versions.{name}",
                f"stack.toml has {version}, but {LOCK} has {locked[name]}",
                "fix stack.toml; or fix requirements.in, then: make lock",
            )


def _installers(stack: Stack) -> Iterator[Finding]:
    for installer in stack.manifest.installers:
        what = f"stack {stack.name}: installer {installer.file}"
        if not installer.licence.strip():
            yield failed(what, "it has no licence", "name the licence of the file: licence = …")
        elif installer.sha256 is None:
            yield note(
                what,
                "unpinned: without a sha256 any file of that name is accepted, and results in "
                "containers have a warning",
                f"make pin VENDOR={stack.vendor} STACK={stack.name} INSTALLERS=<folder>",
            )
        else:
            yield ok(what, f"sha256 {installer.sha256[:12]}…, {installer.licence}")
