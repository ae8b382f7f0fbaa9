"""Facts for the doctor's tests: a complete machine, and changes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from driver.catalog.vendor import Stack, Vendor
from driver.doctor.facts import ContainerEngine, Facts, Machine, Node, StackFact, User
from driver.models.stack import StackManifest
from driver.models.vendor import VendorManifest
from tests.driver.jobs import make_vendor

GIB = 1 << 30


def make_stack(name: str = "v1", *, alone: bool = False, **changes: Any) -> Stack:
    """Return a stack; with ``alone`` it also runs without an image."""
    manifest = StackManifest.model_validate(
        {
            "schema": "assay/stack/1",
            "vendor": "acme",
            "name": name,
            "python": "3.11",
            "base": {"image": "acme.example/base:1"},
            "versions": {},
            "process_runner": alone,
        }
        | changes
    )
    return Stack(manifest=manifest, folder=Path("/nowhere") / name)


def make_facts(
    devices: dict[str, Any] | None = None,
    *,
    monitor_spec: dict[str, Any] | None = None,
    **changes: Any,
) -> Facts:
    """Return the facts of a complete machine; ``changes`` replace fields of Facts."""
    stack = changes.pop("stack", make_stack())
    document = make_vendor(devices).model_dump(by_alias=True)
    manifest = VendorManifest.model_validate(document | {"monitor": monitor_spec or {}})
    return Facts(
        vendor=Vendor(manifest=manifest, folder=Path("/nowhere"), stacks={"v1": stack}),
        user=changes.pop("user", make_user()),
        machine=changes.pop(
            "machine", Machine(threads=8, memory_bytes=64 * GIB, home="/h", free_bytes=99 * GIB)
        ),
        engine=changes.pop("engine", ContainerEngine(version="engine 28")),
        stacks=changes.pop(
            "stacks", (StackFact(stack=stack, wanted=True, image="assay/acme:v1-0"),)
        ),
        **changes,
    )


def make_user(uid: int = 1000, *more: int) -> User:
    """Return a caller whose group id equals the user id; ``more`` are other groups."""
    return User(uid=uid, gid=uid, gids=frozenset({uid, *more}))


def make_node(path: str = "/dev/acme0", **changes: Any) -> Node:
    """Return a node that user 1000 cannot open: owner root, group 44 ``acme``, mode 0660."""
    values: dict[str, Any] = {
        "exists": True,
        "is_device": True,
        "mode": 0o660,
        "uid": 0,
        "gid": 44,
        "group": "acme",
    }
    return Node(path=path, **values | changes)
