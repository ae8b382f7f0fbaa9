"""Genuine runs of LoadGen, by the guest's own settings, with a system that answers at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.models.job import ScenarioJob
from driver.models.report import Measurement, ScenarioReport
from tests.harness.modules import job, loadgen, logged_thread
from tests.harness.scenarios.conftest import scenario

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "loadgen/performance/run_1"
QUERY_NS = 200_000


class Genuine(NamedTuple):
    """A run of LoadGen: the job's scenario, what the guest reported, the loop around it, the out folder."""

    job: ScenarioJob
    report: ScenarioReport
    loop: Measurement
    out: Path


class Instant:
    """Answers a query soon after it is issued: a faster one would use up the queries that LoadGen makes ahead."""

    def __init__(self, module: Any) -> None:
        self._loadgen = module
        self.ended = threading.Event()
        self.threads = [logged_thread.LoggedThread("loadgen")]
        self.samples = 0

    def begin(self, accuracy: bool) -> None:
        pass

    def end(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def guarded(self, step: Any) -> Any:
        return step

    def issue(self, ids: list[int], samples: list[int]) -> None:
        self.samples += len(samples)
        soon = loadgen.clock.now_ns() + QUERY_NS
        while loadgen.clock.now_ns() < soon:
            pass
        response = self._loadgen.QuerySampleResponse
        self._loadgen.QuerySamplesComplete([response(one, 0, 0) for one in ids])


class Samples:
    """Sixteen samples that are nowhere."""

    total = at_once = 16

    def load(self, samples: list[int]) -> None:
        pass

    def unload(self, samples: list[int]) -> None:
        pass


def run_scenario(name: str, out: Path) -> Genuine:
    """Run a scenario for a tenth of a second; LoadGen's logs are in ``out`` / FOLDER."""
    document = scenario(name, performance_samples=16)
    module = loadgen.load()
    answers = Instant(module)
    rate = 500.0 if name == "server" else 5000.0
    asked = loadgen.Asked("PerformanceOnly", rate, 100, 1)
    held = job.Scenario.read({"target_qps": None, **document})
    started = loadgen.clock.now_ns()
    loadgen.settle(module, answers.threads)
    loadgen.run_test(module, asked, held, Samples(), answers, out / FOLDER)
    answers.threads[0].end()
    wall_ns = loadgen.clock.now_ns() - started
    report = ScenarioReport(
        name=held.name,
        run="performance/run_1",
        samples_a_call=1.0,
        call_ns=1_000_000,
        agreement=1.0,
        sampled=3,
        largest_difference=0.0,
    )
    loop = Measurement(
        name="scenario",
        items=answers.samples,
        calls=answers.samples,
        wall_ns=wall_ns,
        in_flight=1,
        clock="harness",
    )
    return Genuine(ScenarioJob.model_validate(document), report, loop, out)
