"""What is measured on inputs in host memory: warm-up, core, latency, and the check of core's outputs."""

from typing import List, Optional

from harness import files
from harness.engine import Engine
from harness.inputs.batch_loader import ItemSource
from harness.inputs.core_batches import prepare_core_pool
from harness.inputs.core_pool import CorePool
from harness.inputs.dataset import Dataset
from harness.job import Job
from harness.loops import core
from harness.loops.core_check import CoreCheck, written
from harness.loops.latency import latency_loop
from harness.loops.repeated import repeated_against_fresh
from harness.outputs.contract import OutputContract, require_finite
from harness.outputs.core_samples import AUDIT_TIMES, CoreSamples, Sample
from harness.outputs.measurements import Measurements
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.task import Task

#: Sampled items of the core loop, which the reference computes too.
SAMPLES_FILE = "core_samples.npz"


class InMemoryLoops:
    """The loops of one stage that need no files; they fill the report."""

    def __init__(
        self,
        job: Job,
        report: Report,
        measurements: Measurements,
        contract: OutputContract,
        progress: ProgressFile,
    ) -> None:
        self._job = job
        self._report = report
        self._measurements = measurements
        self._contract = contract
        self._progress = progress

    def run(
        self, engine: Engine, task: Task, dataset: Dataset, source: ItemSource
    ) -> Optional[CoreCheck]:
        """Measure; return the check of the core loop's outputs.

        None where the vendor's own tool measured, since its outputs are not seen.
        """
        with self._measurements.phase("prepare", "prepare batches"):
            pool = prepare_core_pool(source, dataset, self._job, task, engine)
        self._report.details["core_batches_bytes"] = pool.nbytes
        if self._vendor_core(engine, pool):
            return None
        with self._measurements.phase("warmup", "warm up"):
            warm = core.warm_up(engine, pool, self._job.measure)
        first = self._contract.checked(
            warm.first_outputs, self._job.batch_size, self._job.batch_size
        )
        require_finite(first, [dataset.ids[at] for at in pool.positions[: self._job.batch_size]])
        samples = self._core(engine, pool, warm)
        self._latency(engine, pool)
        self._repeated(engine, pool)
        return self._checked(engine, pool, samples)

    def _vendor_core(self, engine: Engine, pool: CorePool) -> bool:
        """True when the vendor's own tool timed the core loop; the result is marked so."""
        if not engine.times_itself():
            return False
        with self._measurements.phase("core", "core, timed by the vendor's tool"):
            timing = engine.measure_core(pool.batches(), self._job.measure.min_seconds)
        if timing is not None:
            self._measurements.vendor_core(timing)
        return timing is not None

    def _core(self, engine: Engine, pool: CorePool, warm: core.WarmUp) -> List[Sample]:
        measure = self._job.measure
        pool.fit(warm.call_ns)
        kept = CoreSamples(pool, self._contract, self._job, warm.call_ns)
        least = core.calls_of_a_pass(pool.one_pass, warm, measure)
        with self._measurements.phase("core", "core", unit="calls"):
            run = core.core_loop(
                engine,
                pool,
                least,
                measure.min_seconds,
                self._progress,
                kept,
                posted_ahead=core.ahead(engine, pool, warm),
            )
        assert run.last is not None, "the core loop makes at least one call"
        kept.keep_last(run.calls, *run.last)
        entry = self._measurements.loop(
            "core", run.calls * self._job.batch_size, run, engine.in_flight
        )
        entry["warmup"] = warm.document()
        if run.knows_phases:
            entry["h2d_ns"], entry["compute_ns"], entry["d2h_ns"] = run.phases_ns
        changing = pool.document()
        changing["share_of_time"] = pool.change_ns * run.calls / float(run.wall_ns)
        self._report.details["core_inputs"] = changing
        return kept.samples()

    def _latency(self, engine: Engine, pool: CorePool) -> None:
        measure = self._job.measure
        if self._job.stage != "infer" or measure.latency_min_calls < 1:
            return
        with self._measurements.phase("latency", "latency"):
            run = latency_loop(engine, pool, measure, self._job.batch_size)
        self._measurements.loop("latency", run.items, run, 1)

    def _repeated(self, engine: Engine, pool: CorePool) -> None:
        """For an audit, the first process compares repeated inputs with fresh ones."""
        measure = self._job.measure
        if self._job.stage != "infer" or self._job.repeat or not measure.audit:
            return
        with self._measurements.phase("repeated", "repeated inputs against fresh ones"):
            found = repeated_against_fresh(engine, pool, measure.min_seconds)
        self._report.details["repeated_inputs"] = found

    def _checked(self, engine: Engine, pool: CorePool, samples: List[Sample]) -> CoreCheck:
        check = CoreCheck(engine, self._contract, self._job)
        with self._measurements.phase("check", "check sampled outputs of core"):
            check.run(pool, samples)
        self._report.details["core_check"] = check.document(samples)
        times = AUDIT_TIMES if self._job.measure.audit else 1
        arrays = written(samples, pool.constants, times)
        files.write_npz(self._job.out_dir / SAMPLES_FILE, arrays)
        return check
