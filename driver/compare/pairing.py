"""Pairs the results of two folders, or the results of one with published figures, for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.aggregate.problem import ResultProblem
from driver.aggregate.reading import read_record
from driver.aggregate.tree import find_results
from driver.compare.facts import _claimed_twice, _name, published_side, side_of
from driver.compare.pooling import kept_apart, paired, pooled
from driver.compare.speed import SMALLEST
from driver.compare.verdict import Comparison, compare
from driver.errors import UsageFault
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.aggregate.record import Record
    from driver.compare.pooling import Pool
    from driver.published.rows import PublishedFigure


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """All pairs, the names of unpaired results on either side, and the unreadable files."""

    made: tuple[Comparison, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    problems: tuple[ResultProblem, ...] = ()
    kept_apart: tuple[str, ...] = ()
    """What looks alike on a side but was not pooled, and why."""

    def passes(self, fail_below: float) -> bool:
        """Return whether every pair passes; a configuration that B lacks fails."""
        return not self.only_a and all(found.passes(fail_below) for found in self.made)


def compare_paths(a: Path, b: Path, smallest: float = SMALLEST) -> Comparisons:
    """Compare two results or two folders of results.

    Results that agree in every deciding fact are pooled (see ``pooling``). Folders are paired by
    configuration or, if none is in both, by case, precision and batch size. If each side has exactly one
    configuration, the two are paired whatever they are, and the answer names their differences.
    ``smallest`` is the smallest difference that counts, as a share.

    Raises UsageFault if a side has no usable result, or if nothing can be paired.
    """
    (ours, our_problems), (theirs, their_problems) = _read(a), _read(b)
    left, right = pooled(ours), pooled(theirs)
    same_id = _claimed_twice([*ours, *theirs])
    pairs = paired(left, right)
    if not pairs:
        raise UsageFault(
            f"{plain(str(a))} and {plain(str(b))} have no case, precision and batch size in common",
            "name two result.json files to see why they are not comparable",
        )
    return Comparisons(
        made=tuple(
            compare(
                side_of(one.records, same_id=same_id),
                side_of(other.records, same_id=same_id),
                smallest=smallest,
            )
            for one, other in pairs
        ),
        only_a=_unpaired(left, [one for one, _ in pairs]),
        only_b=_unpaired(right, [other for _, other in pairs]),
        problems=(*our_problems, *their_problems),
        kept_apart=_kept_apart(left, right),
    )


def _unpaired(pools: Sequence[Pool], paired_ones: Sequence[Pool]) -> tuple[str, ...]:
    return tuple(
        _name(pool.records[0], len(pool.records)) for pool in pools if pool not in paired_ones
    )


def _kept_apart(left: Sequence[Pool], right: Sequence[Pool]) -> tuple[str, ...]:
    return tuple(
        f"{side}: {text}"
        for side, pools in (("A", left), ("B", right))
        for text in kept_apart(pools)
    )


class BlockFailed(Exception):
    """A job measured in turns ended without a figure; ``exit_code`` is that of its result."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.exit_code = code


def compare_in_turns(a: Sequence[Path], b: Sequence[Path], smallest: float) -> Comparison:
    """Compare two jobs that were measured in turns: result n of A next to result n of B.

    Raises UsageFault for an unusable result, and for results of one side that are not of one job.
    """
    sides = []
    for name, paths in (("A", a), ("B", b)):
        records = [record for path in paths for record in _read(path)[0]]
        if len(apart := pooled(records)) > 1:
            raise UsageFault(
                f"the results of {name} are not of one job: {plain('; '.join(kept_apart(apart)))}",
                "keep the machine and its settings as they are while the rounds run, and start again",
            )
        sides.append(side_of(records))
    return compare(*sides, smallest=smallest, measured_in_turns=True)


def compare_published(
    a: Path, figures: Sequence[PublishedFigure], smallest: float = SMALLEST
) -> Comparisons:
    """Compare results with published figures: A is the published figure, B is ours.

    Pairs have the same case and precision, and the same batch size if it was published.
    Raises UsageFault if no figure was published for any of the results.
    """
    ours, problems = _read(a)
    same_id = _claimed_twice(ours)
    pools = pooled(ours)
    made = [
        compare(published_side(figure), side_of(pool.records, same_id=same_id), smallest=smallest)
        for pool in pools
        for figure in _counterparts(pool.records[0], figures)
    ]
    if not made:
        cases = ", ".join(sorted({f"{record.case} in {record.precision}" for record in ours}))
        raise UsageFault(
            f"no figure was published for {plain(cases)}",
            "`make published` shows the published figures",
        )
    return Comparisons(made=tuple(made), problems=problems, kept_apart=_kept_apart([], pools))


def _counterparts(record: Record, figures: Sequence[PublishedFigure]) -> list[PublishedFigure]:
    near = [
        figure
        for figure in figures
        if (figure.case, figure.precision_name) == (record.case, record.precision)
    ]
    return [figure for figure in near if figure.batch_size == record.batch_size] or near


def _read(path: Path) -> tuple[list[Record], tuple[ResultProblem, ...]]:
    tree = find_results([path])
    outcomes = [read_record(file.path) for file in tree.files]
    problems = [*tree.problems, *(one for one in outcomes if isinstance(one, ResultProblem))]
    records = _without_copies([one for one in outcomes if not isinstance(one, ResultProblem)])
    if not records:
        why = problems[0].message if problems else "no result.json was found"
        raise UsageFault(
            f"{plain(str(path))} has no usable result: {plain(why)}",
            "name a result.json, its folder, or a folder of results; `make report` lists all problems",
        )
    return records, tuple(problems)


def _without_copies(records: Sequence[Record]) -> list[Record]:
    """Return the records without copies, whose processes would count twice."""
    seen: set[str] = set()
    kept = []
    for record in records:
        # An edited copy still has the original's digest.
        if record.digest is None or record.edited or record.digest not in seen:
            kept.append(record)
        if record.digest is not None and not record.edited:
            seen.add(record.digest)
    return kept
