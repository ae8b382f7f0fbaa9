"""`compare`: may two results be set against each other, and if so which is faster, by how much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver.aggregate.text import plain
from driver.catalog import load_catalog
from driver.errors import UsageFault
from driver.settings import load_settings
from driver.sides import compare_paths, compare_published

if TYPE_CHECKING:
    from driver.compare import Comparison
    from driver.console import Console
    from driver.sides import Comparisons

PUBLISHED = "published"
BELOW = 1
"""Exit code where B does not reach FAIL_BELOW × A."""


def compare_results(a: str, b: str, fail_below: str | None, console: Console) -> int:
    """Compare B with A (a result, a folder, or B=published); return 0 unless FAIL_BELOW is missed."""
    bound = _bound(fail_below)
    found = _against_published(a) if b == PUBLISHED else compare_paths(Path(a), Path(b))
    if console.as_json:
        console.document(_document(found, bound))
    else:
        for comparison in found.made:
            _show(comparison, console)
    for side, names in (("A", found.only_a), ("B", found.only_b)):
        for name in names:
            console.say(f"only in {side}: {plain(name)}")
    for problem in found.problems:
        console.say(f"  ! {plain(problem.path)}: {plain(problem.message)}")
    if bound is not None and not found.passes(bound):
        console.fault(
            f"B does not reach {bound:g} × A, or may not be compared with it",
            "look at the fields that differ above, or measure again with TIER=standard",
        )
        return BELOW
    return 0


def _bound(text: str | None) -> float | None:
    if not text:
        return None
    try:
        bound = float(text)
    except ValueError:
        bound = 0.0
    if not 0 < bound < 100:
        raise UsageFault(f"FAIL_BELOW={text} is not a ratio", "for example FAIL_BELOW=0.97")
    return bound


def _against_published(a: str) -> Comparisons:
    from driver.verbs.report import published

    settings = load_settings()
    return compare_published(Path(a), published(load_catalog(settings.root, settings.vendor_path)))


def _show(comparison: Comparison, console: Console) -> None:
    console.text(f"A: {plain(comparison.a.name)}")
    console.text(f"B: {plain(comparison.b.name)}")
    console.text(f"comparable: {comparison.comparable}")
    rows = [(one.field, one.a, one.b, one.severity, one.reason) for one in comparison.differences]
    if rows:
        console.table(("field", "A", "B", "comparable", "why"), rows)
    for reason in (*comparison.refusals, *comparison.doubts):
        console.text(f"  - {plain(reason)}")
    console.text(comparison.sentence())
    console.text("")


def _document(found: Comparisons, bound: float | None) -> dict[str, object]:
    return {
        "schema": "assay/comparison/1",
        "comparisons": [
            {
                "a": one.a.name,
                "b": one.b.name,
                "comparable": one.comparable,
                "verdict": one.verdict,
                "ratio": one.ratio,
                "interval": one.interval,
                "differences": [difference._asdict() for difference in one.differences],
                "refusals": list(one.refusals),
                "doubts": list(one.doubts),
            }
            for one in found.made
        ],
        "only_a": list(found.only_a),
        "only_b": list(found.only_b),
        "fail_below": bound,
        "passes": None if bound is None else found.passes(bound),
    }
