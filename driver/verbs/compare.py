"""`compare`: whether two results are comparable and, if so, which is faster and by how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from driver.compare.pairing import (
    BlockFailed,
    Comparisons,
    compare_in_turns,
    compare_paths,
    compare_published,
)
from driver.compare.speed import SMALLEST
from driver.errors import UsageFault
from driver.system.plain_text import plain
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.compare.verdict import Comparison
    from driver.console import Console

PUBLISHED = "published"
BELOW = 1
"""Exit code if B does not reach FAIL_BELOW × A."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """The options of `compare` as given; None or False where one was not.

    ``run`` measures the jobs of two results here, in turns; only then may there be ``repeat``, the number
    of rounds, and ``own``, what this host names of its own (data, weights, device).
    """

    fail_below: str | None = None
    smallest: str | None = None
    run: bool = False
    repeat: str | None = None
    own: Mapping[str, str | None] = field(default_factory=dict)


def compare_results(a: str | None, b: str | None, options: CompareOptions, console: Console) -> int:
    """Compare B with A, each a result or a folder, B also "published".

    Returns 0, or BELOW if a pair misses FAIL_BELOW, or the exit code of a job that failed. Raises
    UsageFault.
    """
    if not a or not b:
        raise UsageFault(
            f"compare needs two sides, and {'A' if not a else 'B'} is missing",
            f"{'A' if not a else 'B'}=<result or folder of results>",
        )
    bound, smallest = _bound(options.fail_below), _smallest(options.smallest)
    try:
        found = _found(a, b, options, smallest, console)
    except BlockFailed as failed:
        return failed.exit_code
    if console.as_json:
        console.document(_document(found, bound))
    else:
        for comparison in found.made:
            _show(comparison, console)
    _say_the_rest(found, console)
    if bound is not None and not found.passes(bound):
        console.fault(
            f"B does not reach {bound:g} × A, or is not comparable with it",
            "check the differing fields above, or measure again with TIER=standard",
        )
        return BELOW
    return 0


def _found(
    a: str, b: str, options: CompareOptions, smallest: float, console: Console
) -> Comparisons:
    asked = {"repeat": options.repeat, **options.own}
    if not options.run and (name := next((name for name in asked if asked[name]), None)):
        raise UsageFault(
            f"{name.upper()} is for measuring, and compare measures nothing without RUN=1",
            f"add RUN=1, or leave {name.upper()} out",
        )
    if options.run:
        if b == PUBLISHED:
            raise UsageFault(
                "published figures cannot be measured here, so RUN=1 needs two results",
                "make compare A=<result> B=<result> RUN=1",
            )
        # Only here: an installation without a checkout compares, and cannot measure.
        from driver.verbs.in_turns import measure_in_turns, rounds_of

        paths = measure_in_turns(a, b, rounds_of(options.repeat), options.own, console)
        return Comparisons(made=(compare_in_turns(*paths, smallest),))
    if b == PUBLISHED:
        return _against_published(a, smallest, console)
    return compare_paths(Path(a), Path(b), smallest)


def _say_the_rest(found: Comparisons, console: Console) -> None:
    for side, names in (("A", found.only_a), ("B", found.only_b)):
        for name in names:
            console.say(f"only in {side}: {plain(name)}")
    for text in found.kept_apart:
        console.say(f"  ! {plain(text)}")
    for problem in found.problems:
        console.say(f"  ! {plain(problem.path)}: {plain(problem.message)}")


def _smallest(text: str | None) -> float:
    if not text:
        return SMALLEST
    try:
        smallest = float(text)
    except ValueError:
        smallest = -1.0
    if not 0 <= smallest < 1:
        raise UsageFault(
            f"SMALLEST={text} is not a share from 0 to 1",
            f"for example SMALLEST={SMALLEST:g}: differences below {SMALLEST:.0%} do not count",
        )
    return smallest


def _bound(text: str | None) -> float | None:
    if not text:
        return None
    try:
        bound = float(text)
    except ValueError:
        bound = 0.0
    if not 0 < bound < 100:
        raise UsageFault(
            f"FAIL_BELOW={text} is not a ratio between 0 and 100", "for example: FAIL_BELOW=0.97"
        )
    return bound


def _against_published(a: str, smallest: float, console: Console) -> Comparisons:
    from driver.verbs.report import published

    settings = load_settings()
    figures = published(read_catalog(settings, console), console)
    return compare_published(Path(a), figures, smallest)


def _show(comparison: Comparison, console: Console) -> None:
    console.text(f"A: {plain(comparison.a.name)}")
    console.text(f"B: {plain(comparison.b.name)}")
    console.text(f"comparable: {comparison.comparable}")
    rows = [(one.field, one.a, one.b, one.severity, one.reason) for one in comparison.differences]
    if rows:
        console.table(("field", "A", "B", "comparable", "why"), rows)
    for reason in (*comparison.refusals, *comparison.caveats):
        console.text(f"  - {plain(reason)}")
    console.text(comparison.sentence())
    for text in (comparison.power(), comparison.more, comparison.load()):
        if text is not None:
            console.text(f"  {text}")
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
                "smallest": one.smallest,
                "shows": one.shows,
                "more": one.more,
                "differences": [difference._asdict() for difference in one.differences],
                "refusals": list(one.refusals),
                "caveats": list(one.caveats),
            }
            for one in found.made
        ],
        "only_a": list(found.only_a),
        "only_b": list(found.only_b),
        "kept_apart": list(found.kept_apart),
        "fail_below": bound,
        "passes": None if bound is None else found.passes(bound),
    }
