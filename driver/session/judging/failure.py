"""Adds to a guest's failure what only the driver knows: file names, and the right remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from driver.datasets.prepared import item_name
from driver.errors import FREE_SPACE, OWN_FOLDER
from driver.models.base import REFERENCE, FailureKind
from driver.runners.spec import JOB_ROOT
from driver.system.workspace import disk_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.models.base import Failure
    from driver.runners.spec import ContainerSpec

OUT = "out"
"""The mount whose files are gone too: what is kept of them is in the result's folder."""


def with_host_paths(failure: Failure, spec: ContainerSpec) -> Failure:
    """Name files of the job folder, which is gone when the message is read, by their paths on this host."""

    def named(text: str) -> str:
        for place, source in places:
            text = re.sub(
                rf"(?<![\w./-]){re.escape(place)}(?![\w.-])", source.replace("\\", r"\\"), text
            )
        return text

    mounts = sorted(spec.mounts, key=lambda one: -len(one.target))
    places = [
        (f"{root}/{mount.target}", str(mount.source))
        for mount in mounts
        for root in (spec.folder / "job", JOB_ROOT)
        if mount.target != OUT
    ]
    changed = {"message": named(failure.message), "remedy": named(failure.remedy)}
    return failure.model_copy(update=changed)


def with_damage(failure: Failure, damaged: Sequence[str]) -> Failure:
    """Attribute a failure to the host if inputs of its stage (named for display) were damaged meanwhile.

    The hook and the chip got other bytes than those that were made for them.
    """
    if not damaged:
        return failure
    return failure.model_copy(
        update={
            "kind": FailureKind.HOST,
            "message": f"files of this host were damaged while the job ran: {', '.join(damaged[:3])}; "
            f"the stage said: {failure.message}",
            "remedy": "run the same command again, which makes them again; if it happens again, check "
            "the disk and the memory of this host",
        }
    )


def with_disk(failure: Failure, out: Path) -> Failure:
    """Attribute a failure to the host if the disk of the stage's out folder takes nothing more.

    Neither the hook nor an SDK can write its report there, or say why it failed.
    """
    problem = disk_problem(out)
    if problem is None or failure.kind is FailureKind.INTERRUPTED:
        return failure
    remedy = OWN_FOLDER if "read-only" in problem else FREE_SPACE
    message = f"{problem}; the stage said: {failure.message}"
    return failure.model_copy(
        update={"kind": FailureKind.HOST, "message": message, "remedy": remedy}
    )


def with_interpreter(failure: Failure, stack: Stack) -> Failure:
    """Replace the remedy for a missing package where the stack is an interpreter of this host.

    No image or lock file can be rebuilt there: the package must be installed by hand.
    """
    if failure.kind is not FailureKind.IMAGE or stack.found is None:
        return failure
    variable = "REFERENCE_PYTHON" if stack.vendor == REFERENCE else "STACK_PYTHON"
    remedy = (
        f"install it for {stack.found.python} ({stack.folder} lists the tested versions), "
        f"or name another interpreter: {variable}=/opt/venv/bin/python3"
    )
    return failure.model_copy(update={"remedy": remedy})


def with_names(failure: Failure, labels: Path) -> Failure:
    """Add the user's file names to a data failure: the guest knows only item numbers."""
    if failure.kind is not FailureKind.DATA:
        return failure
    names = dict(_named_items(failure.message, labels))
    if not names:
        return failure
    which = ", ".join(f"item {item} is {name}" for item, name in names.items())
    return failure.model_copy(update={"message": f"{failure.message} ({which})"})


def _named_items(message: str, labels: Path) -> Iterator[tuple[str, str]]:
    for item in re.findall(r"\b\d{6}\b", message):
        name = item_name(labels, item)
        if name is not None:
            yield item, name
