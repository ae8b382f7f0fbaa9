"""Load scenarios: which cases, engines and stacks can run one, and by which rules. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from driver.errors import UsageFault, unknown
from driver.models.base import Tier
from driver.models.job import SCENARIOS, ScenarioJob

if TYPE_CHECKING:
    from driver.catalog.catalog import Case
    from driver.catalog.vendor import Stack
    from driver.plan.request import Request

LOADGEN = "mlcommons-loadgen"
"""The package of MLPerf's LoadGen, as a lock file names it."""

SERVER = "server"
SAMPLES_PER_QUERY = {"multistream": 8}
"""MLPerf's number for MultiStream; the other scenarios send one sample a query, Offline all in one."""

PERCENTILES = {"singlestream": 0.90}
"""MLPerf's percentile of SingleStream; 99 % elsewhere."""

LONGEST_BOUND_MS = 600_000
TWO_BOUNDS = "LATENCY_BOUND=2s,100ms"
_LATENCY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) *(?P<unit>us|ms|s)")
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Rules(NamedTuple):
    """How long a tier runs: the least duration, the least queries by scenario, a search's steps."""

    min_duration_ms: int
    min_queries: dict[str, int]
    probe_duration_ms: int


EARLY_STOPPING = {"offline": 1, "singlestream": 64, "multistream": 662, "server": 459}
"""The fewest queries with which LoadGen can be 99 % sure of the percentile (its early stopping)."""

RULES = {
    Tier.SMOKE: Rules(2000, dict.fromkeys(EARLY_STOPPING, 1), 1000),
    Tier.STANDARD: Rules(60_000, EARLY_STOPPING, 10_000),
    # MLPerf's rules: 600 s, and 24,576 samples in Offline.
    Tier.OFFICIAL: Rules(600_000, {**EARLY_STOPPING, "offline": 24_576}, 60_000),
}


def scenario_job(request: Request, case: Case, stack: Stack, tier: Tier) -> ScenarioJob | None:
    """Return the scenario of a request with its rules, None without one.

    Raises UsageFault for an unknown scenario, an invalid bound or rate, and for a case or a stack that cannot run it.
    """
    name = request.scenario
    if name is None:
        for variable, given in (
            ("LATENCY_BOUND", request.latency_bound),
            ("TARGET_QPS", request.target_qps),
        ):
            if given is not None:
                raise UsageFault(
                    f"{variable}={given} belongs to a load scenario, and there is none",
                    f"add SCENARIO=server, or leave {variable} out",
                )
        return None
    if name not in SCENARIOS:
        raise unknown("scenario", name, SCENARIOS)
    _require_case(name, case)
    _require_batch(name, request.batch_size)
    _require_loadgen(stack)
    rules = RULES[tier]
    first_ns, later_ns = _bounds_ns(name, request.latency_bound, case)
    return ScenarioJob(
        name=name,
        samples_per_query=SAMPLES_PER_QUERY.get(name, 1),
        percentile=PERCENTILES.get(name, 0.99),
        latency_bound_ns=first_ns,
        token_bound_ns=later_ns,
        tokens=case.manifest.generation is not None,
        target_qps=_rate(name, request.target_qps),
        min_duration_ms=rules.min_duration_ms,
        min_query_count=rules.min_queries[name],
        probe_duration_ms=rules.probe_duration_ms,
    )


def batch_size_of(request: Request, default: int) -> int:
    """Return the batch size of a request: of SingleStream 1, of MultiStream at most its query."""
    if request.batch_size is not None:
        return request.batch_size
    if request.scenario == "singlestream":
        return 1
    return SAMPLES_PER_QUERY.get(request.scenario or "", default)


def parse_latency(text: str) -> float:
    """Return a latency such as ``15ms``, ``0.5s`` or ``800us`` in milliseconds; UsageFault for another text."""
    found = _LATENCY.fullmatch(text.strip())
    value_ms = float(found["number"]) * _UNITS_MS[found["unit"]] if found else 0.0
    if not 0 < value_ms <= LONGEST_BOUND_MS:
        raise UsageFault(
            f"LATENCY_BOUND={text} is not a latency: a number above 0 with its unit, us, ms or s, up to 600 s",
            "for example LATENCY_BOUND=15ms",
        )
    return value_ms


def _require_case(name: str, case: Case) -> None:
    manifest = case.manifest
    if manifest.generation is not None and name == "multistream":
        raise UsageFault(
            f"SCENARIO={name} is for cases of one call a sample, and {case.name} generates token by token",
            "SCENARIO=offline, singlestream or server",
        )
    if manifest.generation is None and manifest.core_item != manifest.item:
        raise UsageFault(
            f"SCENARIO={name} needs a case that answers a sample with one call of its model, and {case.name} counts "
            f"{manifest.core_item}s",
            "choose another case (`make list`), or leave SCENARIO out",
        )


def _require_batch(name: str, batch_size: int | None) -> None:
    most = 1 if name == "singlestream" else SAMPLES_PER_QUERY.get(name)
    if batch_size is not None and most is not None and batch_size > most:
        sends = "one sample" if most == 1 else f"{most} samples"
        raise UsageFault(
            f"BS={batch_size} cannot be filled: SCENARIO={name} sends {sends} a query and waits for the answer",
            f"leave BS out, which gives BS={most}",
        )


def _require_loadgen(stack: Stack) -> None:
    if stack.has_package(LOADGEN):
        return
    if stack.found is not None:
        raise UsageFault(
            f"SCENARIO needs MLPerf's LoadGen, which {stack.found.python} lacks",
            f"{stack.found.python} -m pip install {LOADGEN}",
        )
    raise UsageFault(
        f"SCENARIO needs MLPerf's LoadGen, which stack {stack.name} of {stack.vendor} lacks: "
        "[versions] of its stack.toml does not list it",
        f"add {LOADGEN} to {stack.folder / 'requirements.in'} and to [versions], then: make lock, make images VENDOR={stack.vendor} "
        "(without Docker, make lock is enough)",
    )


def _bounds_ns(name: str, given: str | None, case: Case) -> tuple[int | None, int | None]:
    """Return the bound of a query in ns; of a language model, of its first and of each later token."""
    if name != SERVER:
        if given is not None:
            raise UsageFault(
                f"LATENCY_BOUND={given} is for SCENARIO=server; SCENARIO={name} has no bound",
                "leave LATENCY_BOUND out",
            )
        return None, None
    own, tokens = case.manifest.scenarios, case.manifest.generation is not None
    values = [own.latency_bound_ms, *((own.token_bound_ms,) if tokens else ())]
    example = TWO_BOUNDS if tokens else "LATENCY_BOUND=100ms"
    if given is not None:
        texts = given.split(",")
        if len(texts) != len(values):
            wanted = (
                "two latencies, to the first token and per later one" if tokens else "one latency"
            )
            raise UsageFault(
                f"LATENCY_BOUND={given} is not {wanted}, as {case.name} has it",
                f"for example {example}",
            )
        values = [parse_latency(text) for text in texts]
    if None in values:
        raise UsageFault(
            f"SCENARIO=server needs a latency bound, and {case.name} has no default",
            f"for example {example}",
        )
    first, later = (round(value * 1e6) for value in (*filter(None, values), 0)[:2])
    return first, later or None


def _rate(name: str, given: str | None) -> float | None:
    if given is None:
        return None
    if name != SERVER:
        raise UsageFault(
            f"TARGET_QPS={given} is for SCENARIO=server; SCENARIO={name} runs as fast as it can",
            "leave TARGET_QPS out",
        )
    try:
        rate = float(given) if given.isascii() else 0.0
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e9:
        raise UsageFault(
            f"TARGET_QPS={given} is not a number of queries per second above 0",
            "for example TARGET_QPS=50; without it the highest rate is searched",
        )
    return rate
