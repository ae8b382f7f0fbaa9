"""Reads the seed documents as they are: their Markdown tables, headings and links."""

from __future__ import annotations

from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
CASES = Path(__file__).parents[3] / "cases"
DOCUMENTS = {
    "vit_l_16": "000",
    "sam_h": "001",
    "stable_diffusion_v1_4": "002",
    "vit_b_32": "003",
    "regnety_016": "004",
}
"""The case that holds each document's tables."""


def seed(number: str) -> str:
    """Return the text of a document."""
    (path,) = SEEDS.glob(f"{number}_*.txt")
    return path.read_text(encoding="utf-8")


def seed_tables(number: str) -> list[list[list[str]]]:
    """Return every Markdown table: rows of cells, header first, without rule and blank rows."""
    tables: list[list[list[str]]] = []
    current: list[list[str]] = []
    for line in [*seed(number).splitlines(), ""]:
        if line.strip().startswith("|"):
            current.append([_cell(cell) for cell in line.strip().strip("|").split("|")])
        elif current:
            tables.append([current[0], *(row for row in current[2:] if any(row))])
            current = []
    return tables


def _cell(text: str) -> str:
    return text.strip().replace("**", "").replace("\\*", "*")
