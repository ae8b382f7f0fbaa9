"""The report as Markdown: for reviews, wikis and terminals."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from driver.aggregate.tables import batch_table, table
from driver.aggregate.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.problem import Problem
    from driver.published.columns import Language

_ACTIVE = re.compile(r"([\\`*_\[\]|#])")
PROBLEM_ROWS = 500


def escape(text: str) -> str:
    """Return text that Markdown and the HTML in it show as it is."""
    return _ACTIVE.sub(r"\\\1", html.escape(plain(text), quote=False))


def render_table(headers: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Return a table; the first ``texts`` columns are left-aligned. Cells are escaped."""
    rule = ["---" if place < texts else "---:" for place in range(len(headers))]
    lines = [[escape(header) for header in headers], rule, *([*map(escape, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def render_markdown(
    groups: Sequence[Group],
    *,
    language: Language,
    same_id: frozenset[str],
    facts: Sequence[tuple[str, str]],
    notices: Sequence[str],
    problems: Sequence[Problem],
) -> str:
    """Return the report's tables, batch tables and problems."""
    parts = ["# Assay report", render_table(("", ""), facts), *(f"> {escape(n)}" for n in notices)]
    for group in groups:
        parts += [f"## {escape(group.title)}", _seeds_table(group, language, same_id)]
        sizes = batch_table(group.records, language)
        if len(sizes.rows) > 2:
            cells = [row.cells for row in sizes.rows]
            parts += ["### p_infer_core by batch size", render_table(sizes.headers, cells)]
    parts += ["## Problems", _problems(problems)]
    return "\n\n".join(parts) + "\n"


def _seeds_table(group: Group, language: Language, same_id: frozenset[str]) -> str:
    found = table(group.records, language, same_id)
    return render_table(found.headers, found.as_text(), texts=3)


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return "Every file that was found could be used."
    rows = [
        (problem.kind.value, problem.path, problem.message, problem.remedy)
        for problem in problems[:PROBLEM_ROWS]
    ]
    told = render_table(("kind", "file", "what", "what to do"), rows, texts=4)
    left = len(problems) - len(rows)
    return f"{told}\n\n{left} more stand in problems.csv." if left else told
