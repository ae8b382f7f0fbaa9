"""How often `compare` and the drift warning report what is not there, on simulated results.

    make bench CASE=compare [ARGS="--pairs 2000 --seed 15"]

Prints one JSON document. ``false_alarms``: the share of pairs of equal speed that are called faster or
slower, and of intervals without 1, by kind of noise. ``intervals``: how often the interval of a figure has
the true value. ``power``: how often a true difference is found. ``drift``: how often a job whose loops have
the named noise or drift gets the warning. The same seed gives the same document on every machine; nothing
is timed. Exits 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from driver.compare.speed import SpeedVerdict
from driver.compare.verdict import Side, compare
from driver.results.statistics import median_interval
from driver.results.trend import block_rates, drifts
from tests.bench.entry import ended
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PAIRS = 2000
SEED = 15
FALSE_ALARMS = 0.05
COVERED = 0.95
SLACK = 3.0
"""Standard errors of a simulated share that are no miss: 1.5 % of 2,000 pairs around 5 %."""
SPEED = 1000.0


class Noise(NamedTuple):
    """Two sides: the processes of each session, and what varies (shares of the speed).

    ``process`` is the standard deviation between processes of A and of B, ``session`` that between
    sessions. With ``tails`` the processes follow Student's t with 3 degrees of freedom. ``walk`` is the
    standard deviation of the step from one session to the next (a random walk), ``slope`` a steady loss
    per session. Sessions follow each other: first all of A, or in turns (A B, B A, …). ``faster`` is by
    how much B really is.
    """

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]
    process: tuple[float, float]
    session: float = 0.0
    tails: bool = False
    walk: float = 0.0
    slope: float = 0.0
    in_turns: bool = False
    bounded: bool = True
    faster: float = 0.0


ONE, FOUR, EIGHT = (1,), (1,) * 4, (1,) * 8
QUIET = (0.005, 0.005)
NOISES = (
    Noise("3 + 3 processes", (3,), (3,), (0.01, 0.01)),
    Noise("5 + 5 processes", (5,), (5,), (0.01, 0.01)),
    Noise("3 + 3 processes, noise of 4 %", (3,), (3,), (0.04, 0.04)),
    Noise("3 + 3 processes, outliers", (3,), (3,), (0.02, 0.02), tails=True),
    Noise("3 + 3 processes, B ten times as noisy", (3,), (3,), (0.004, 0.04)),
    Noise("1 + 1 processes, noise of 4 %", ONE, ONE, (0.042, 0.042)),
    Noise("1 + 3 processes", ONE, (3,), (0.03, 0.03)),
    Noise("2 + 2 processes", (2,), (2,), (0.03, 0.03)),
    Noise("3 + 3 processes, sessions drift by 1 %", (3,), (3,), QUIET, 0.01),
    Noise("5 + 5 processes, sessions drift by 1 %", (5,), (5,), QUIET, 0.01),
    Noise("1 + 1 processes, sessions drift by 1 %", ONE, ONE, (0.03, 0.03), 0.01),
    Noise("2 + 2 sessions that drift by 1 %", (3, 3), (3, 3), QUIET, 0.01),
    Noise("3 + 3 sessions that drift by 3 %", (3,) * 3, (3,) * 3, QUIET, 0.03),
    Noise("4 rounds in turns, sessions drift by 3 %", FOUR, FOUR, QUIET, 0.03, in_turns=True),
    Noise("4 rounds in turns, a walk of 1 %", FOUR, FOUR, QUIET, walk=0.01, in_turns=True),
    Noise("4 rounds in turns, 1 % slower each", FOUR, FOUR, QUIET, slope=0.01, in_turns=True),
    Noise("4 + 4 sessions, a walk of 1 %", FOUR, FOUR, QUIET, walk=0.01, bounded=False),
    Noise("4 + 4 sessions, 1 % slower each", FOUR, FOUR, QUIET, slope=0.01, bounded=False),
)
"""What is not bounded shows why RUN=1 exists: nothing in results measured apart shows that drift."""

POWERS = (
    Noise("3 + 3 processes, 5 % faster", (3,), (3,), QUIET, 0.01, faster=0.05),
    Noise("5 + 5 processes, 5 % faster", (5,), (5,), QUIET, 0.01, faster=0.05),
    Noise("1 + 1 processes, 10 % faster", ONE, ONE, QUIET, 0.01, faster=0.10),
    Noise("1 + 1 processes, 25 % faster", ONE, ONE, QUIET, 0.01, faster=0.25),
    Noise("4 rounds, 3 % faster", FOUR, FOUR, QUIET, walk=0.01, in_turns=True, faster=0.03),
    Noise("8 rounds, 3 % faster", EIGHT, EIGHT, QUIET, walk=0.01, in_turns=True, faster=0.03),
)
COVERAGES = (3, 4, 5, 9, 15)


class Loops(NamedTuple):
    """The core loops of a job's three processes: the noise of their calls, and a true change.

    ``noise`` is the standard deviation of a call's time as a share, ``spikes`` the share of calls that
    take ten times as long. Noise of ``slow`` lasts for ``memory``, a share of the loop (an AR(1) process).
    ``change`` is the loss of speed from beginning to end, ``step`` one that comes half way. ``warned``
    says whether there is something to find, None where either answer is right.
    """

    name: str
    calls: int = 1000
    noise: float = 0.05
    spikes: float = 0.0
    memory: float = 0.0
    slow: float = 0.0
    change: float = 0.0
    step: float = 0.0
    warned: bool | None = False


LOOPS = (
    Loops("noise of 5 %"),
    Loops("noise of 30 %, 200 calls", calls=200, noise=0.3),
    Loops("1 % of the calls take ten times as long", spikes=0.01),
    Loops("noise of 3 % that lasts for 1 % of the loop", memory=0.01, slow=0.03),
    Loops("noise of 3 % that lasts for 5 % of the loop", memory=0.05, slow=0.03),
    Loops("noise of 3 % that lasts for 10 % of the loop", memory=0.10, slow=0.03),
    Loops("1 % slower at the end, which does not count", change=0.01, warned=None),
    Loops("4 % slower at the end", change=0.04, warned=True),
    Loops("10 % slower at the end, spikes", change=0.10, spikes=0.01, warned=True),
    Loops("a step of 5 % half way", step=0.05, warned=None),
)
DRIFT_ALARMS = 0.01
DRIFT_FOUND = 0.80
PROCESSES = 3
POINTS = 200
"""Points of a loop between which lasting noise does not change; a divisor of its calls."""


def side(name: str, sessions: Sequence[tuple[float, ...]]) -> Side:
    """Return a side without facts; two such sides are always comparable."""
    facts: dict[str, str | None] = dict.fromkeys(FACTS, "same")
    return Side(name=name, facts=facts, sessions=tuple(sessions))


FACTS = (
    *("case", "core_item", "metric", "weights", "weights_digest", "data", "dataset", "chips"),
    *("processor", "precision", "arithmetic", "batch_size", "clock", "in_flight", "tier", "runner"),
    *("attention", "input", "onnx", "export", "scenario"),
)


def drawn(noise: Noise, rng: np.random.Generator) -> tuple[Side, Side]:
    """Return two sides whose true speeds differ by ``noise.faster``."""
    sizes = {"A": noise.a, "B": noise.b}
    sessions: dict[str, list[tuple[float, ...]]] = {"A": [], "B": []}
    walked = 0.0
    for place, name in enumerate(order(noise)):
        size = sizes[name][len(sessions[name])]
        walked += noise.walk * rng.normal() - noise.slope * (place > 0)
        raw = rng.standard_t(3, size) / np.sqrt(3) if noise.tails else rng.normal(size=size)
        speed = walked + noise.session * rng.normal() + noise.process[name == "B"] * raw
        speed += np.log1p(noise.faster) * (name == "B")
        sessions[name].append(tuple((SPEED * np.exp(speed)).tolist()))
    return side("A", sessions["A"]), side("B", sessions["B"])


def order(noise: Noise) -> str:
    """Return in what order the sessions are measured, one letter each."""
    if not noise.in_turns:
        return "A" * len(noise.a) + "B" * len(noise.b)
    return "".join("BA" if number % 2 else "AB" for number in range(len(noise.a)))


def compared(noise: Noise, pairs: int, seed: int) -> dict[str, Any]:
    """Return the share of pairs that were called faster or slower, and of intervals without 1."""
    rng = np.random.default_rng(seed)
    called = apart = 0
    for _ in range(pairs):
        found = compare(*drawn(noise, rng), measured_in_turns=noise.in_turns)
        called += found.verdict in (SpeedVerdict.FASTER, SpeedVerdict.SLOWER)
        interval = found.interval
        apart += interval is not None and not interval.low <= 1 <= interval.high
    row = {"noise": noise.name, "called": called / pairs, "interval_without_1": apart / pairs}
    return row if noise.bounded else {**row, "bounded": False}


def coverage(size: int, pairs: int, seed: int) -> dict[str, Any]:
    """Return how often the interval of a figure contains the true value."""
    rng = np.random.default_rng(seed)
    covered = 0
    for _ in range(pairs):
        values: NDArray[np.float64] = SPEED * np.exp(0.01 * rng.normal(size=size))
        interval = median_interval(values.tolist())
        covered += interval is not None and interval.low <= SPEED <= interval.high
    return {"processes": size, "covered": covered / pairs}


def calls_ns(loops: Loops, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the times of the calls of one loop, ns, shape [calls]."""
    at = np.linspace(0, 1, loops.calls)
    times = 1e7 * np.exp(loops.noise * rng.normal(size=loops.calls))
    times[rng.random(loops.calls) < loops.spikes] *= 10
    if loops.memory:
        times *= np.exp(loops.slow * lasting(loops.memory, rng).repeat(loops.calls // POINTS))
    times /= 1 - loops.change * at - loops.step * (at > 0.5)
    return times.astype(np.int64)


def lasting(memory: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of variance 1 at POINTS points of a loop; it lasts for ``memory``, a share of it."""
    kept = float(np.exp(-1 / (memory * POINTS)))
    shocks = (np.sqrt(1 - kept**2) * rng.normal(size=POINTS)).tolist()
    levels = [float(rng.normal())]
    for shock in shocks[1:]:
        levels.append(kept * levels[-1] + shock)
    return np.asarray(levels)


def drifting(loops: Loops, jobs: int, seed: int) -> dict[str, Any]:
    """Return the share of jobs that get the drift warning."""
    rng = np.random.default_rng(seed)
    warned = 0
    for _ in range(jobs):
        rates = [block_rates(calls_ns(loops, rng), 1) for _ in range(PROCESSES)]
        warned += any(found is not None for found in drifts(rates))
    return {"loops": loops.name, "warned": warned / jobs, "drifts": loops.warned}


def slack(bound: float, count: int) -> float:
    """Return by how much a simulated share may miss its bound by chance."""
    return SLACK * float(np.sqrt(bound * (1 - bound) / count))


def missed(found: dict[str, Any]) -> list[str]:
    """Return the names of the rows that miss their bound by more than chance explains."""
    pairs = found["pairs"]
    high, low = FALSE_ALARMS + slack(FALSE_ALARMS, pairs), COVERED - slack(COVERED, pairs)
    alarms = DRIFT_ALARMS + slack(DRIFT_ALARMS, pairs)
    names = [
        row["noise"]
        for row in found["false_alarms"]
        if row.get("bounded", True) and row["called"] > high
    ]
    names += [
        f"interval of {row['processes']}" for row in found["intervals"] if row["covered"] < low
    ]
    for row in (row for row in found["drift"] if row["drifts"] is not None):
        wrong = row["warned"] < DRIFT_FOUND if row["drifts"] else row["warned"] > alarms
        names += [row["loops"]] if wrong else []
    return names


def measure(pairs: int, seed: int) -> dict[str, Any]:
    """Return the tables, with the names of the rows that miss their bound."""
    found: dict[str, Any] = {
        "pairs": pairs,
        "seed": seed,
        "false_alarms": [compared(noise, pairs, seed) for noise in NOISES],
        "intervals": [coverage(size, pairs, seed) for size in COVERAGES],
        "power": [compared(noise, pairs, seed) for noise in POWERS],
        "drift": [drifting(loops, pairs, seed) for loops in LOOPS],
    }
    return {**found, "missed": missed(found)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, and return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=count, default=PAIRS)
    parser.add_argument("--seed", type=count, default=SEED)
    options = parser.parse_args(arguments)
    found = measure(options.pairs, options.seed)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(ended(main))
