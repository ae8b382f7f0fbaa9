"""The rules: each computes from the figures of any document what cannot be true of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.rules import (
    accuracy,
    agreement,
    arithmetic,
    batches,
    logs,
    memory,
    order,
    peaks,
    times,
    utilisation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driver.published.load import PublishedCase

    Rule = Callable[[PublishedCase], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    *utilisation.RULES,
    *peaks.RULES,
    *times.RULES,
    *memory.RULES,
    *accuracy.RULES,
    *order.RULES,
    *batches.RULES,
    *arithmetic.RULES,
    *agreement.RULES,
    *logs.RULES,
)


def find(case: PublishedCase) -> list[Finding]:
    """Apply every rule to one document, then add the notes that published.toml has about it."""
    about = {"case": case.name, "document": case.document}
    found = [finding.model_copy(update=about) for rule in RULES for finding in rule(case)]
    notes = [
        Finding(**about, rule=note.id, **note.model_dump(exclude={"id"}))
        for note in case.published.notes
    ]
    return found + notes
