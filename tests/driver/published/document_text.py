"""Reads the documents as they are: their Markdown tables, headings and links."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT_TEXTS = Path(__file__).parent / "documents"
CASES = Path(__file__).parents[3] / "cases"
DOCUMENTS = {
    "vit_l_16": "000",
    "sam_h": "001",
    "stable_diffusion_v1_4": "002",
    "vit_b_32": "003",
    "regnety_016": "004",
}
"""The case that has each document's tables."""


def text_of(number: str) -> str:
    """Return the text of a document."""
    (path,) = DOCUMENT_TEXTS.glob(f"{number}_*.txt")
    return path.read_text(encoding="utf-8")


def printed_tables(number: str) -> list[list[list[str]]]:
    """Return every Markdown table: rows of cells, header first, without rule and blank rows."""
    tables: list[list[list[str]]] = []
    current: list[list[str]] = []
    for line in [*text_of(number).splitlines(), ""]:
        if line.strip().startswith("|"):
            current.append([_cell(cell) for cell in line.strip().strip("|").split("|")])
        elif current:
            tables.append([current[0], *(row for row in current[2:] if any(row))])
            current = []
    return tables


def _cell(text: str) -> str:
    return text.strip().replace("**", "").replace("\\*", "*")


def sections(number: str) -> list[tuple[str, str]]:
    """Return (title, what is below it, up to the next heading) of every section, in order."""
    text = re.sub(r"(?ms)^\s*```.*?^\s*```", "(code)", text_of(number))
    parts = re.split(r"(?m)^#{1,4} +(.+)$", text)[1:]
    titles = [re.sub(r"<a name=.*", "", title).strip() for title in parts[::2]]
    return list(zip(titles, parts[1::2], strict=True))


def links(number: str) -> list[tuple[str, str]]:
    """Return (text, target) of every link into the document itself."""
    return re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", text_of(number))


def link_targets(number: str) -> set[str]:
    """Return what a link can lead to, in lower case: explicit anchors, and headings as Markdown does."""
    anchors = re.findall(r'<a name="([^"]+)"', text_of(number))
    titles = (re.sub(r"[^\w -]", "", title) for title, _ in sections(number))
    return {target.lower().replace(" ", "-") for target in (*anchors, *titles)}
