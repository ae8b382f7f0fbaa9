"""What the driver adds to a guest's failure: names that the guest does not know, and the right remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from driver.catalog import REFERENCE
from driver.datasets import item_name
from driver.models.base import FailureKind
from driver.stage_cache import changed_files, forget_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from driver.catalog import Stack
    from driver.models.base import Failure


def with_engine(failure: Failure, engine: Path) -> Failure:
    """Say so where the engine that came from the cache is damaged, and have it made again."""
    changed = changed_files(engine)
    if not changed:
        return failure
    forget_engine(engine)
    return failure.model_copy(
        update={
            "message": f"{failure.message}; {', '.join(changed[:3])} is no longer what compile left",
            "remedy": "the same command again: the engine is compiled anew (make clean removes all "
            "that is cached)",
        }
    )


def with_interpreter(failure: Failure, stack: Stack) -> Failure:
    """Say where to install what a stage lacks: no lock and no image makes a stack that was found."""
    if failure.kind is not FailureKind.IMAGE or stack.found is None:
        return failure
    variable = "REFERENCE_PYTHON" if stack.vendor == REFERENCE else "STACK_PYTHON"
    remedy = (
        f"install it for {stack.found.python} ({stack.folder} names the versions "
        f"that were tested), or name another interpreter: {variable}=/opt/venv/bin/python3"
    )
    return failure.model_copy(update={"remedy": remedy})


def with_names(failure: Failure, labels: Path) -> Failure:
    """Say which file of the user's an item is; the guest knows its number only."""
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
