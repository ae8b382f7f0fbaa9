"""Rules about the document itself: section numbers, empty sections, links."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from driver.published.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase

_NUMBERED = re.compile(r"^#+ (?P<number>\d+(?:\.\d+)*)\.? ")


def _numbers(case: PublishedCase) -> Iterator[tuple[str, str]]:
    """Yield (section number, heading without its number signs) of numbered headings."""
    for heading in case.published.document.headings:
        if found := _NUMBERED.match(heading):
            yield found["number"], heading.lstrip("# ")


def repeated_numbers(case: PublishedCase) -> Iterator[Finding]:
    """Report section numbers that stand twice."""
    counted = Counter(number for number, _ in _numbers(case))
    for number, times in counted.items():
        if times == 1:
            continue
        titles = [title for found, title in _numbers(case) if found == number]
        yield Finding(
            rule="section-number",
            kind="contradiction",
            where=f"section {number}",
            printed=titles[0],
            against="; ".join(titles[1:]),
            reason=f"the number stands {times} times",
        )


def child_of_another_section(case: PublishedCase) -> Iterator[Finding]:
    """Report a subsection whose number belongs to another section than the one it stands in."""
    parent = ""
    for number, title in _numbers(case):
        head, dot, _ = number.rpartition(".")
        if not dot:
            parent = number
        elif head != parent:
            yield Finding(
                rule="section-number",
                kind="contradiction",
                where=f"section {parent}",
                printed=title,
                against=f"it stands in section {parent}",
                reason="the number belongs to another section",
            )


def empty_sections(case: PublishedCase) -> Iterator[Finding]:
    """Report sections with a heading and nothing below it."""
    for heading in case.published.document.empty_sections:
        yield Finding(
            rule="empty-section",
            kind="note",
            where=heading.lstrip("# "),
            printed=heading.lstrip("# "),
            against="nothing below the heading",
            reason="what should stand there is not in the document",
        )


def dead_links(case: PublishedCase) -> Iterator[Finding]:
    """Report links into the document that lead nowhere."""
    document = case.published.document
    known = {anchor.lower() for anchor in document.anchors}
    known |= {_slug(heading.lstrip("# ")) for heading in document.headings}
    for link in document.links:
        if link.target.lower() in known:
            continue
        yield Finding(
            rule="dead-link",
            kind="contradiction",
            where="links",
            printed=f"{link.text} → #{link.target}",
            against="no such section",
            reason="the link leads nowhere: the section was renamed or is missing",
        )


def _slug(title: str) -> str:
    """Return the target that Markdown renderers give a heading."""
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


RULES = (repeated_numbers, child_of_another_section, empty_sections, dead_links)
