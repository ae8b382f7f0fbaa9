"""`compare RUN=1`: measures the jobs of two results here, in turns, and compares them round by round."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.bundle.chain import read_result
from driver.compare.pairing import BlockFailed
from driver.errors import AssayError, UsageFault
from driver.models.base import Tier
from driver.plan.choice import choose
from driver.plan.request import parse_request, positive
from driver.rerun.asking import (
    asked_by,
    require_case,
    require_host_python,
    require_repeatable,
    require_same_job,
    with_own,
)
from driver.rerun.differences import Facts
from driver.rerun.document import facts
from driver.session.prepare import prepare
from driver.session.result import exit_code
from driver.session.run import Repetition, run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.plain_text import counted
from driver.system.settings import load_settings_here
from driver.system.stopwatch import Stopwatch
from driver.verbs.reading_catalog import read_catalog_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.catalog.catalog import Catalog
    from driver.console import Console
    from driver.models.result import Result
    from driver.plan.choice import Choice
    from driver.session.site import Site

ROUNDS = 4
"""Even, so that each side goes first equally often: a steady drift then cancels entirely."""
FEWEST_ROUNDS = 3
MOST_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One side's job: its name (A or B), the result that asked for it, and the choice to run."""

    name: str
    original: Result
    choice: Choice


def rounds_of(repeat: str | None) -> int:
    """Return the number of rounds that REPEAT asks for; UsageFault for fewer than three."""
    rounds = positive("REPEAT", repeat, MOST_ROUNDS) if repeat else ROUNDS
    if rounds < FEWEST_ROUNDS:
        raise UsageFault(
            f"REPEAT={repeat}: {counted(rounds, 'round')} cannot show how much rounds vary",
            f"REPEAT={FEWEST_ROUNDS} or more; without REPEAT there are {ROUNDS}",
        )
    return rounds


def measure_in_turns(
    a: str, b: str, rounds: int, own: Mapping[str, str | None], console: Console
) -> tuple[list[Path], list[Path]]:
    """Measure the jobs of two results in turns; return the results of A and of B, round by round.

    Every turn is a fresh process of a `standard` run with a result of its own. Rounds alternate in order
    (A B, B A, …). ``own`` is what this host names of its own: where data and weights are, which device.
    Raises AssayError before anything is measured if one of the two cannot run here, and BlockFailed
    where a turn has no figure.
    """
    settings = load_settings_here()
    catalog = read_catalog_here(settings, console)
    turns = [_turn(name, path, own, catalog) for name, path in (("A", a), ("B", b))]
    paths: dict[str, list[Path]] = {"A": [], "B": []}
    with ExitStack() as opened:
        opened.enter_context(console)
        sites = {
            runner: opened.enter_context(open_site(runner, settings, catalog, console))
            for runner in dict.fromkeys(turn.choice.runner for turn in turns)
        }
        for turn in turns:
            _require_runnable(turn, sites[turn.choice.runner])
        for number in range(1, rounds + 1):
            for turn in turns if number % 2 else turns[::-1]:
                console.say(f"[round {number}/{rounds}] {turn.name}")
                found = _measured(turn, number, sites[turn.choice.runner], console)
                paths[turn.name].append(found)
    return paths["A"], paths["B"]


def _turn(name: str, path: str, own: Mapping[str, str | None], catalog: Catalog) -> Turn:
    """Return the job of a result, as this checkout and this host choose it."""
    _, original = read_result(Path(path), name)
    with _about(name):
        require_repeatable(original)
        require_case(original, catalog)
        require_host_python(original, catalog)
        asked = asked_by(original, catalog)
        if asked["limit"] is not None:
            raise UsageFault(
                f"it was measured with LIMIT={asked['limit']}, and smoke runs are never compared",
                "measure it with TIER=standard, without LIMIT",
            )
        one_process = {"tier": str(Tier.STANDARD), "repeat": "1"}
        request = parse_request(with_own(asked, {**own, **one_process}))
        choice = choose(request, catalog, devices_here(catalog.vendors, [request]))
        if choice.tier is Tier.SMOKE:
            raise UsageFault(
                "its options make it smaller than the full case, and smoke runs are never compared",
                f"measure it without them: make run CASE={choice.case.name} TIER=standard",
            )
    return Turn(name=name, original=original, choice=choice)


def _require_runnable(turn: Turn, site: Site) -> None:
    with _about(turn.name):
        prepared = prepare(site, turn.choice, Stopwatch())
        inputs = {**prepared.provenance, "preprocess": dict(turn.choice.preprocess)}
        require_same_job(facts(turn.original), Facts(job=prepared.planned.key, provenance=inputs))


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Say in any expected failure which side cannot run here."""
    try:
        yield
    except AssayError as error:
        error.message = f"{name} cannot be measured here: {error.message}"
        error.args = (error.message,)
        raise


def _measured(turn: Turn, number: int, site: Site, console: Console) -> Path:
    note = {"side": turn.name, "round": number, "result": turn.original.digest}
    finished = run_job(site, turn.choice, Repetition(note={"in_turns": note}))
    for warning in finished.result.warnings:
        console.warning(warning)
    if finished.result.status == "ok":
        return finished.folder / "result.json"
    if finished.result.failure is not None:
        console.failure(finished.result.failure)
    console.say(f"{turn.name} has no figure in round {number}: {finished.folder / 'result.json'}")
    raise BlockFailed(exit_code(finished.result))
