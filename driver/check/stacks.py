"""Checks of a vendor's stacks: manifest and folder, Dockerfile, pins, lock file, installers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.check.dockerfile import broken_rules
from driver.errors import AssayError
from driver.findings import failed, note, ok
from driver.locks import is_current, parse_lock
from driver.recipes import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog import Stack, Vendor
    from driver.findings import Finding
    from driver.locks import Pin


def check_stacks(vendor: Vendor) -> Iterator[Finding]:
    """Yield what is found of every stack of a vendor."""
    for stack in vendor.stacks.values():
        yield from check_stack(stack, vendor.name)


def check_stack(stack: Stack, vendor: str) -> Iterator[Finding]:
    """Yield what is found of one stack."""
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
            what, "it is not there", "`driver/assay new-vendor` lays one out that can be adapted"
        )
        return
    broken = list(broken_rules(path.read_text(encoding="utf-8"), stack.manifest.base.image))
    for problem, remedy in broken:
        yield failed(what, problem, remedy)
    if not broken:
        yield ok(what, "two stages, base as an argument, no network, a normal user")


def _base(stack: Stack) -> Iterator[Finding]:
    base = stack.manifest.base
    what = f"stack {stack.name}: base image"
    if base.digest is None:
        yield note(
            what,
            f"{base.image} is unpinned, and every result in a container says so",
            f"make pin VENDOR={stack.vendor} STACK={stack.name}, where a registry answers",
        )
    else:
        yield ok(what, f"{base.image} at {base.digest[:19]}…")


def _lock(stack: Stack) -> Iterator[Finding]:
    what = f"stack {stack.name}: {LOCK}"
    requirements, lock = stack.folder / "requirements.in", stack.folder / LOCK
    if not lock.is_file():
        if requirements.is_file() or stack.manifest.process_runner:
            yield failed(what, "it is not there", "make lock")
        return
    try:
        pins = parse_lock(lock)
    except AssayError as error:
        yield failed(what, error.message, error.remedy)
        return
    if requirements.is_file() and not is_current(requirements):
        yield failed(what, "requirements.in was changed after it was made", "make lock")
    elif not requirements.is_file():
        yield note(
            what, "no requirements.in says what it was made from", "write one, then: make lock"
        )
    else:
        yield ok(what, f"{len(pins)} packages, each with its hashes")
    yield from _versions(stack, pins)


def _versions(stack: Stack, pins: tuple[Pin, ...]) -> Iterator[Finding]:
    locked = {pin.name: pin.version for pin in pins}
    for name, version in stack.manifest.versions.items():
        if locked.get(name, version) != version:
            yield failed(
                f"stack {stack.name}: versions.{name}",
                f"stack.toml says {version}, {LOCK} has {locked[name]}",
                "mend stack.toml, or requirements.in and then: make lock",
            )


def _installers(stack: Stack) -> Iterator[Finding]:
    for installer in stack.manifest.installers:
        what = f"stack {stack.name}: installer {installer.file}"
        if not installer.licence.strip():
            yield failed(
                what, "no licence note", "say under which licence it is given: licence = …"
            )
        elif installer.sha256 is None:
            yield note(
                what,
                "unpinned: without a sha256 any file of that name is taken, and results in containers "
                "say so",
                f"make pin VENDOR={stack.vendor} STACK={stack.name} INSTALLERS=<folder>",
            )
        else:
            yield ok(what, f"sha256 {installer.sha256[:12]}…, {installer.licence}")
