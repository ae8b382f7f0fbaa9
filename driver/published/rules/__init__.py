"""The rules that search a document for contradictions, and the list of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.rules import (
    accuracy,
    batches,
    counting,
    drawn,
    environment,
    logs,
    memory,
    structure,
    times,
    utilisation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driver.published.load import PublishedCase

    Rule = Callable[[PublishedCase], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    *utilisation.RULES,
    *counting.RULES,
    *times.RULES,
    *memory.RULES,
    *accuracy.RULES,
    *batches.RULES,
    *drawn.RULES,
    *logs.RULES,
    *environment.RULES,
    *structure.RULES,
)


def find(case: PublishedCase) -> list[Finding]:
    """Apply every rule to one document, then add the notes that no rule can compute."""
    about = {"case": case.name, "document": case.document}
    found = [finding.model_copy(update=about) for rule in RULES for finding in rule(case)]
    notes = [
        Finding(
            **about,
            rule=note.id,
            kind=note.kind,
            where=note.where,
            printed=note.printed,
            against=note.against,
            reason=note.reason,
            source=note.source,
        )
        for note in case.published.notes
    ]
    return found + notes
