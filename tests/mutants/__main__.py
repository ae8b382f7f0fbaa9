"""`make test-mutants`: applies every mutant of the list to a copy of the tree; some test must fail."""

from __future__ import annotations

import argparse
import queue
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.listed import Mutant, problems, read_mutants
from tests.mutants.trial import Outcome, Trial, copy_tree, run_tests, try_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
BASELINE_LIMIT_S = 1200.0


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every mutant ended as the list says, 1 if not, 2 for an unsound list."""
    parser = argparse.ArgumentParser(prog="make test-mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only mutants whose names or files contain one")
    parser.add_argument("--jobs", type=int, default=2, help="trees side by side (default: 2)")
    parser.add_argument("--list", action="store_true", help="only print the names and reasons")
    options = parser.parse_args(arguments)
    mutants = read_mutants()
    wrong = problems(mutants, ROOT)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    chosen = [one for one in mutants if _is_chosen(one, options.names)]
    if options.list or not chosen:
        print("\n".join(f"{one.name}: {one.why}" for one in chosen) or "no such mutant")
        return 0 if chosen else 2
    with tempfile.TemporaryDirectory(prefix="assay-mutants-") as folder:
        return _run(chosen, Path(folder), options.jobs)


def _is_chosen(mutant: Mutant, names: Sequence[str]) -> bool:
    return not names or any(name in mutant.name or name in mutant.file for name in names)


def _run(mutants: Sequence[Mutant], folder: Path, jobs: int) -> int:
    started = time.monotonic()
    trees = [folder / str(number) for number in range(jobs)]
    for tree in trees:
        copy_tree(ROOT, tree)
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    without = run_tests(tests, trees[0], BASELINE_LIMIT_S, workers=jobs)
    # "Survived": none failed, and so a failure later is the mutant's doing.
    if without.outcome is not Outcome.SURVIVED:
        print(f"tests fail without any mutant:\n{without.output}", file=sys.stderr)
        return 1
    print(f"{len(tests)} selections of tests pass without mutants in {without.took_s:.0f} s")
    odd = []
    for mutant, trial in _trials(mutants, trees):
        expected = _expected(mutant, trial)
        print(f"{trial.outcome:9} {trial.took_s:6.1f} s  {mutant.name}{_note(mutant, trial)}")
        sys.stdout.flush()
        odd += [] if expected else [(mutant, trial)]
    _summarise(mutants, odd, time.monotonic() - started)
    return 1 if odd else 0


def _trials(mutants: Sequence[Mutant], trees: Sequence[Path]) -> Iterator[tuple[Mutant, Trial]]:
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def one(mutant: Mutant) -> Trial:
        tree = free.get()
        try:
            return try_out(mutant, tree)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from zip(mutants, pool.map(one, mutants), strict=True)


def _expected(mutant: Mutant, trial: Trial) -> bool:
    if mutant.survives is not None:
        return trial.outcome is Outcome.SURVIVED
    return trial.outcome in (Outcome.KILLED, Outcome.TIMED_OUT)


def _note(mutant: Mutant, trial: Trial) -> str:
    if _expected(mutant, trial):
        return "" if mutant.survives is None else f" (as listed: {mutant.survives})"
    if mutant.survives is not None:
        return ": listed as a survivor; take its reason out of the list"
    return f": {mutant.why}; {mutant.file} is not tested for it"


def _summarise(
    mutants: Sequence[Mutant], odd: Sequence[tuple[Mutant, Trial]], took_s: float
) -> None:
    for mutant, trial in odd:
        if trial.outcome is Outcome.INVALID:
            print(f"\n{mutant.name}: its tests could not run\n{trial.output}", file=sys.stderr)
    listed = sum(mutant.survives is not None for mutant in mutants)
    print(
        f"{len(mutants)} mutants in {took_s / 60:.1f} min: {len(odd)} not as listed, "
        f"{listed} listed as survivors"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
