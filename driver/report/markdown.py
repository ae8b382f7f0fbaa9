"""The report as Markdown: for reviews, wikis and terminals."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from driver.published.chinese import said
from driver.report.cards.rows import CARDS_HEADERS
from driver.report.failed import FAILED_HEADERS
from driver.report.headings import HEADINGS
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.problem import ResultProblem
    from driver.aggregate.tables import ResultTable, Section
    from driver.published.columns import Language
    from driver.report.head import Head

_ACTIVE = re.compile(r"([\\`*_\[\]|#])")
_HARMLESS = re.compile("[A-Za-z0-9 .,:;+%/=()~-]*")
FIGURES = range(3, 12)
"""The places of the columns with figures, from the batch size to the memory."""
TOKENS = "token by token"
"""The title of a language model's figures."""
SCENARIOS = "load scenarios"
"""The title of the figures of LoadGen."""
PROBLEM_ROWS = 500
PROBLEM_HEADERS = ("kind", "file", "problem", "what to do")


def escape(text: str) -> str:
    """Return the text escaped, so that neither Markdown nor inline HTML interprets it."""
    # Nearly every cell of a report.
    if _HARMLESS.fullmatch(text):
        return text
    return _ACTIVE.sub(r"\\\1", html.escape(plain(text), quote=False))


def render_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    texts: int = 1,
    numbers: range | None = None,
) -> str:
    """Return a Markdown table with escaped cells; ``numbers`` are right-aligned, by default all after ``texts``."""
    right = range(texts, len(headers)) if numbers is None else numbers
    rule = ["---:" if place in right else "---" for place in range(len(headers))]
    return "\n".join((_line(headers), f"| {' | '.join(rule)} |", *map(_line, rows)))


def _line(cells: Sequence[str]) -> str:
    # Most rows are harmless as a whole.
    shown = cells if _HARMLESS.fullmatch("".join(cells)) else map(escape, cells)
    return f"| {' | '.join(shown)} |"


def render_markdown(
    sections: Sequence[Section],
    *,
    language: Language,
    head: Head,
    problems: Sequence[ResultProblem],
    failed: Sequence[Sequence[str]] = (),
) -> str:
    """Return the whole report: tables, batch tables, failed runs and problems."""
    parts = [f"# {said('Assay report', language)}", render_table(("", ""), head.facts)]
    parts += [f"> {escape(notice)}" for notice in head.notices]
    for section in sections:
        parts += [f"## {escape(section.group.title)}", _results_table(section.results)]
        tokens, scenarios, sizes = section.tokens, section.scenarios, section.batches
        if tokens.rows:
            cells = [row.cells for row in tokens.rows]
            parts += [f"### {said(TOKENS, language)}", render_table(tokens.headers, cells, texts=3)]
        if scenarios.rows:
            shown = render_table(scenarios.headers, scenarios.as_text(), texts=3)
            parts += [f"### {said(SCENARIOS, language)}", shown]
        if len(sizes.rows) > 2:
            cells = [row.cells for row in sizes.rows]
            title = said("p_infer_core by batch size", language)
            parts += [f"### {title}", render_table(sizes.headers, cells)]
    parts += _columns(sections, language)
    if failed:
        headers = [said(header, language) for header in FAILED_HEADERS]
        runs = render_table(headers, failed, texts=len(headers))
        parts += [f"## {said('Failed and interrupted runs', language)}", runs]
    parts += [f"## {said('Problems', language)}", _problems(problems, language)]
    return "\n\n".join(parts) + "\n"


def cards_section(cards: Sequence[Sequence[str]], language: Language) -> str:
    """Return the section on the cards of one kind, "" where no two of a kind were measured."""
    if not cards:
        return ""
    headers = [said(header, language) for header in CARDS_HEADERS]
    title = f"## {said('Cards of one kind', language)}"
    return f"\n{title}\n\n{render_table(headers, cards, numbers=range(1, 3))}\n"


def _results_table(found: ResultTable) -> str:
    return render_table(found.headers, found.as_text(), numbers=FIGURES)


def _columns(sections: Sequence[Section], language: Language) -> list[str]:
    """Return the units and meanings of the figures' columns, which a table of Markdown has no room for."""
    if not sections:
        return []
    headers = sections[0].results.headers
    rows = [
        (headers[place], said_of.unit.replace("{item}", said("item", language)), said_of.meaning)
        for place, said_of in enumerate(HEADINGS[language])
        if place in FIGURES
    ]
    shown = [said(header, language) for header in ("column", "unit", "meaning")]
    return [f"## {said('Columns', language)}", render_table(shown, rows, texts=3)]


def _problems(problems: Sequence[ResultProblem], language: Language) -> str:
    if not problems:
        return said("Every result that was found is usable.", language)
    rows = [
        (problem.kind.value, problem.path, problem.message, problem.remedy)
        for problem in problems[:PROBLEM_ROWS]
    ]
    headers = [said(header, language) for header in PROBLEM_HEADERS]
    shown = render_table(headers, rows, texts=len(headers))
    left = len(problems) - len(rows)
    if not left:
        return shown
    return f"{shown}\n\n{said('{count} more are in problems.csv.', language).format(count=left)}"
