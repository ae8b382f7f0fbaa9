"""A job's load scenario: accuracy mode over the dataset, the performance run, and the checks of its answers."""

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type

import numpy as np

from harness import clock, files, log
from harness.engine import Engine
from harness.errors import StageFailure
from harness.inputs.batch_loader import ItemSource
from harness.inputs.dataset import Dataset
from harness.inputs.prompts import Prompts
from harness.job import Arrays, Job
from harness.loops.core import AHEAD_NS, SHORT_CALL_NS
from harness.loops.core_check import COARSEST, OTHER_SIZE, REMEDY, TOLERANCES
from harness.loops.scheduled_loop import SteadyLoop
from harness.outputs.measurements import CORE_INCLUDES, Measurements
from harness.outputs.predictions import DecodedPredictions
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.scenarios import loadgen as binding
from harness.scenarios import search
from harness.scenarios.answers import Answers, Kept, QueuedAnswers
from harness.scenarios.loadgen import ACCURACY, PERFORMANCE, Asked, Logged
from harness.scenarios.sample_library import SampleLibrary
from harness.scenarios.scheduled_answers import ScheduledAnswers
from harness.scenarios.token_answers import QueuedTokenAnswers, TokenAnswers
from harness.task import Task

#: Below out/; the names within are those of MLPerf's submissions.
FOLDER = "loadgen"
#: Of a rate above the engine's own, a run ends when so many times more wait than are answered within the bound.
LATE, FEWEST_WAITING = 8, 256
#: LoadGen is sure of a 99th percentile with so many queries, if none of them is late.
SURE = 459
#: Who answers: of a language model or not, in a thread of its own or not.
KINDS: Dict[Tuple[bool, bool], Type[Answers]] = {
    (False, False): Answers,
    (False, True): QueuedAnswers,
    (True, False): TokenAnswers,
    (True, True): QueuedTokenAnswers,
}
#: Sizes of a server's batches that are computed once before the clock starts.
WARMED_SIZES = 64
#: A run that ended too early, since the engine is faster than LoadGen expected, is repeated with at least so many times
#: the rate.
FASTER, TRIES = 2.0, 4
#: Of fewer samples a second, or at once, LoadGen's logs hold few enough entries even where it reads them a second late.
SETTLED_FROM = 100
#: Single calls whose median says what a query takes.
TIMED_CALLS = 7


class ScenarioRun:
    """Runs the scenario of a job with an engine that has been measured already; fills the report."""

    def __init__(
        self, job: Job, report: Report, measurements: Measurements, progress: ProgressFile
    ) -> None:
        assert job.scenario is not None, "only a job with a scenario has this"
        self._job = job
        self._scenario = job.scenario
        self._report = report
        self._measurements = measurements
        self._progress = progress
        # First of all: without LoadGen, nothing need be measured.
        self._loadgen = binding.load()
        self._runs = 0
        self._totals = [0, 0, 0]  # samples, calls and batches of the runs that count
        self._items_of_a_sample = 1
        self._kept: List[Kept] = []
        #: Of an engine that schedules: its rate under a steady load of prompts that never repeat.
        self._fresh_tokens_per_s: Optional[float] = None

    def run(
        self,
        engine: Engine,
        task: Task,
        dataset: Dataset,
        source: ItemSource,
        whole: DecodedPredictions,
    ) -> None:
        """Run both modes, keep LoadGen's logs in out/, and check sampled answers."""
        depth = self._depth(engine)
        library = SampleLibrary(self._job, source, dataset, engine.empty, depth + 1)
        queued = self._scenario.name == "server"
        kind = KINDS[self._job.generation is not None, queued]
        if engine.schedules:
            kind = ScheduledAnswers
        answers = kind(self._loadgen, engine, library, task, self._job, depth=depth)
        self._items_of_a_sample = answers.items_of_a_sample
        self._measure_fresh(engine, dataset, source)
        with self._measurements.phase("scenario_accuracy", "LoadGen, accuracy mode"):
            rate = self._core_rate()
            asked_for = self._scenario.target_qps or 0.0
            if max(rate, asked_for, self._job.batch_size) >= SETTLED_FROM:
                binding.settle(self._loadgen, answers.threads)
            rate /= self._scenario.samples_per_query
            asked = Asked(ACCURACY, rate, 0, 1)
            self._test(asked, library, answers, "accuracy")
        agreement = self._agreement(task, answers, whole)
        call_ns = self._time_alone(answers, library)
        tried: List[search.Probe] = []
        if queued:
            tried = self._serve(library, answers, call_ns)
        else:
            self._perform(library, answers, call_ns)
        if self._scenario.target_qps and search.best(tried) is None:
            tried += self._search(library, answers, call_ns)
        answers.close()
        checked = self._check(answers, library)
        self._report.scenario = {
            "name": self._scenario.name,
            "run": "performance/run_{}".format(self._runs),
            "samples_a_call": self._totals[0] / float(max(1, self._totals[2])),
            "call_ns": call_ns,
            "tried": [one._asdict() for one in tried],
            "agreement": agreement,
            "sampled": len(self._kept),
            "largest_difference": checked,
            "fresh_tokens_per_s": self._fresh_tokens_per_s,
        }

    def _measure_fresh(self, engine: Engine, dataset: Dataset, source: ItemSource) -> None:
        """Measure what the core loop's batches, which begin and end together, do not show of an engine that schedules."""
        if not engine.schedules:
            return
        if engine.same_process:
            raise StageFailure(
                "contract",
                "engine {} schedules sequences in the harness's process, where LoadGen's thread would call it beside "
                "the harness's".format(self._job.engine),
                "remove same_process from the engine, or leave SCENARIO out",
            )
        seconds = self._scenario.probe_duration_ms / 1e3
        with self._measurements.phase("scenario_fresh", "a steady load of fresh prompts"):
            prompts = Prompts(self._job, source, len(dataset), engine.empty)
            loop = SteadyLoop(engine, prompts, self._job)
            self._fresh_tokens_per_s = loop.tokens_per_s(seconds)

    def _test(self, asked: Asked, library: SampleLibrary, answers: Answers, folder: str) -> Logged:
        try:
            return binding.run_test(
                self._loadgen,
                asked,
                self._scenario,
                library,
                answers,
                self._job.out_dir / FOLDER / folder,
            )
        except BaseException:
            answers.stop()
            raise

    def _perform(self, library: SampleLibrary, answers: Answers, call_ns: int) -> None:
        """The performance run of all scenarios but Server."""
        rate = clock.NS_PER_S / float(call_ns)
        if self._scenario.name == "offline":
            rate = self._core_rate()
        with self._clocked():
            for _ in range(TRIES):
                logged = self._counted(rate, library, answers)
                if logged.get("result_min_duration_met") is not False:
                    break
                # Faster than the core loop, or than single calls: too few queries were made ahead.
                log.say("LoadGen expected a lower rate and ended too early; once more")
                rate = max(FASTER * rate, float(logged.get("result_samples_per_second", 0.0)))

    def _serve(self, library: SampleLibrary, answers: Answers, call_ns: int) -> List[search.Probe]:
        """The performance run of Server, at the rate that was asked for or at the highest that keeps the bound."""
        asked_for = self._scenario.target_qps
        tried = [] if asked_for else self._search(library, answers, call_ns)
        found = search.best(tried)
        rate = asked_for or (found.rate if found else clock.NS_PER_S / float(2 * call_ns))
        with self._clocked():
            for share in search.STEPS_DOWN if found else (0.0,):
                rate *= 1.0 - share
                logged = self._counted(rate, library, answers)
                tried.append(_probe(rate, logged))
                if tried[-1].met and not _too_many_late(logged):
                    break
        return tried

    def _search(self, library: SampleLibrary, answers: Answers, call_ns: int) -> List[search.Probe]:
        scenario = self._scenario
        if answers.late(call_ns, scenario):
            return []  # what takes longer alone is late at every rate
        number = [0]

        def probe(rate: float) -> search.Probe:
            number[0] += 1
            asked = Asked(PERFORMANCE, rate, scenario.probe_duration_ms, 1)
            folder = "search/run_{:02d}".format(number[0])
            found = _probe(rate, self._test(asked, library, answers, folder))
            log.say(
                "server, {:.4g} queries/s: {:.3f} ms, bound {}".format(
                    rate, found.latency_ns / 1e6, "kept" if found.met else "missed"
                )
            )
            return found

        with self._measurements.phase("scenario_search", "LoadGen, search of the highest rate"):
            least = search.ALONE * clock.NS_PER_S / call_ns
            return search.highest_rate(probe, self._core_rate(), least)

    def _counted(self, rate: float, library: SampleLibrary, answers: Answers) -> Logged:
        """Run a test that counts; the last one is the scenario's."""
        self._runs += 1
        folder = "performance/run_{}".format(self._runs)
        scenario = self._scenario
        asked = Asked(PERFORMANCE, rate, scenario.min_duration_ms, scenario.min_query_count)
        most = self._core_rate()
        if scenario.target_qps > most:
            # More arrives than can be answered: at the end of a minute's run, the queue would take hours.
            waiting = int(LATE * most * scenario.latency_bound_ns / clock.NS_PER_S)
            asked = asked._replace(outstanding=max(FEWEST_WAITING, waiting))
        logged = self._test(asked, library, answers, folder)
        self._totals[0] += answers.samples
        self._totals[1] += answers.calls
        self._totals[2] += answers.batches
        self._kept = answers.kept
        log.say("LoadGen, {}: {}".format(folder, logged.get("result_validity")))
        return logged

    @contextlib.contextmanager
    def _clocked(self) -> Iterator[None]:
        """Around the runs that count: the driver holds their time to its own clock."""
        with self._measurements.phase("scenario", "LoadGen: {}".format(self._scenario.name)):
            started_ns = clock.now_ns()
            self._progress.loop_began("scenario")
            yield
            wall_ns = clock.now_ns() - started_ns
            self._progress.loop_ended()
        self._report.measurements.append(
            {
                "name": "scenario",
                "items": self._totals[0],
                "calls": self._totals[1],
                "wall_ns": wall_ns,
                "started_ns": started_ns,
                "in_flight": self._report.effective["in_flight"],
                "clock": "harness",
                "includes": list(CORE_INCLUDES),
            }
        )

    def _depth(self, engine: Engine) -> int:
        """Batches in flight: beyond the engine's own only in Offline, where no answer waits for another."""
        call_ns = self._core_call_ns()
        if self._scenario.name != "offline" or call_ns >= SHORT_CALL_NS:
            return engine.in_flight
        return engine.in_flight + max(0, min(engine.ahead, AHEAD_NS // max(1, call_ns)))

    def _core(self) -> Dict[str, Any]:
        return next(one for one in self._report.measurements if one["name"] == "core")

    def _core_rate(self) -> float:
        """Samples per second of the core loop, or under a steady load of fresh prompts."""
        core = self._core()
        items = core["items"] * clock.NS_PER_S / float(core["wall_ns"])
        return max(items, self._fresh_tokens_per_s or 0.0) / float(self._items_of_a_sample)

    def _core_call_ns(self) -> int:
        core = self._core()
        return int(core["wall_ns"] // max(1, core["calls"]))

    def _time_alone(self, answers: Answers, library: SampleLibrary) -> int:
        """The median time of a query alone in ns; before it, compute each size of batch that a server may get."""
        per_query, size = self._scenario.samples_per_query, self._job.batch_size
        samples = list(range(min(library.at_once, max(per_query, size))))
        library.load(samples)
        with self._measurements.phase("scenario_warmup", "warm up for LoadGen"):
            if self._scenario.name == "server":
                limit_ns = int(self._job.measure.warmup_max_seconds * clock.NS_PER_S)
                started = clock.now_ns()
                for count in range(1, min(size, WARMED_SIZES, len(samples)) + 1):
                    if clock.now_ns() - started > limit_ns:
                        break
                    answers.warm_up(samples[:count])
            taken = []
            for _ in range(TIMED_CALLS):
                started = clock.now_ns()
                for start in range(0, per_query, size):
                    answers.compute(samples[: min(size, per_query - start)])
                taken.append(clock.now_ns() - started)
        library.unload(samples)
        return max(1, sorted(taken)[TIMED_CALLS // 2])

    def _agreement(self, task: Task, answers: Answers, whole: DecodedPredictions) -> float:
        """The share of items whose predictions are those of the whole loop, which are scored.

        Raises StageFailure (contract) if raw outputs differ by more than another size of batch explains.
        """
        raw = answers.scored(whole.raw_written())
        found = {
            sample: {name: array[sample : sample + 1] for name, array in raw.items()}
            for sample in answers.raw
        }
        self._require_alike(
            answers, answers.raw, found, "LoadGen's accuracy mode", "the whole loop"
        )
        scored = answers.scored(whole.arrays)
        theirs = {name: array[: whole.count] for name, array in scored.items()}
        ours = {name: answers.predictions[name][: whole.count] for name in theirs}
        return float(np.mean(task.same(ours, theirs)))

    def _check(self, answers: Answers, library: SampleLibrary) -> float:
        """Compute again what LoadGen logged of the performance run; return the largest difference."""
        kept = {one.sample: one.outputs for one in self._kept[: binding.SAMPLED]}
        samples, size = list(kept), self._job.batch_size
        if not samples:
            return 0.0
        again: Dict[int, Arrays] = {}
        with self._measurements.phase("scenario_check", "check LoadGen's sampled answers"):
            library.load(samples)
            for start in range(0, len(samples), size):
                some = samples[start : start + size]
                outputs = answers.again(some, kept)
                for row, sample in enumerate(some):
                    again[sample] = {n: array[row : row + 1] for n, array in outputs.items()}
            library.unload(samples)
        return self._require_alike(
            answers, kept, again, "LoadGen's run", "a run of these samples alone"
        )

    def _require_alike(
        self,
        answers: Answers,
        ours: Dict[int, Arrays],
        theirs: Dict[int, Arrays],
        here: str,
        there: str,
    ) -> float:
        tolerance = OTHER_SIZE * TOLERANCES.get(self._job.arithmetic, COARSEST)
        found = {one: answers.difference(ours[one], theirs[one]) for one in ours}
        wrong = [one for one, difference in found.items() if not difference <= tolerance]
        if wrong:
            raise StageFailure(
                "contract",
                "{} of {} samples have other outputs in {} than in {}: relative difference {:.2g}, at most {:.2g} for "
                "{}".format(
                    len(wrong),
                    len(found),
                    here,
                    there,
                    max(found.values()),
                    tolerance,
                    self._job.arithmetic,
                ),
                REMEDY,
            )
        return max(list(found.values()) + [0.0])


def _probe(rate: float, logged: Logged) -> search.Probe:
    percentile = 100 * float(logged.get("effective_target_latency_percentile", 0.99))
    # Of a language model, the time to the first token.
    kind = "first_token_" if logged.get("requested_use_token_latencies") else ""
    key = "result_{}{:.2f}_percentile_latency_ns".format(kind, percentile)
    latency = logged.get(key, 0)
    return search.Probe(rate, int(latency), bool(logged.get("result_perf_constraints_met")))


def _too_many_late(logged: Logged) -> bool:
    """Whether so many answers came late that LoadGen's early stopping is not sure of the percentile."""
    queries, late = (logged.get("result_{}query_count".format(n), 0) for n in ("", "overlatency_"))
    return queries >= SURE and late > 0 and logged.get("early_stopping_met") is False


def scenario_of(
    job: Job, report: Report, measurements: Measurements, progress: ProgressFile
) -> Optional[ScenarioRun]:
    """The scenario that a stage runs: of infer's first process, where the job has one."""
    if job.scenario is None or job.stage != "infer" or job.repeat:
        return None
    (job.out_dir / FOLDER).mkdir()
    return ScenarioRun(job, report, measurements, progress)


def logs_of(job: Job) -> List[Dict[str, Any]]:
    """The entry of every log below out/loadgen, for the report."""
    folder = job.out_dir / FOLDER
    return [files.artifact(path, job.folder) for path in sorted(folder.rglob("mlperf_log_*"))]
