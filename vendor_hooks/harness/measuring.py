"""validate and infer: warm-up, core, latency, whole; the same code for the framework and the chip."""

import contextlib

import numpy as np

from harness import clock, core, files
from harness.books import WHOLE_INCLUDES, Books
from harness.dataset import Dataset
from harness.engine import Engine
from harness.errors import StageFailure
from harness.held import held_batches
from harness.latency import SingleCalls, latency_loop
from harness.load import load_engine, load_task
from harness.loader import make_source
from harness.outputs import OutputContract, host_dtype, require_finite
from harness.task import Task
from harness.whole import Whole


class Measuring:
    """One validate or infer stage; ``job.engine`` is the engine that runs."""

    def __init__(self, job, report, progress):
        self._job = job
        self._report = report
        self._progress = progress
        self._books = Books(job, report, progress)
        self._contract = OutputContract(job)

    def run(self):
        """Load, warm up, measure, and leave samples, predictions and raw outputs in the out folder."""
        job, report = self._job, self._report
        with contextlib.ExitStack() as stack:
            dataset = Dataset(job.data_dir, job.measure.limit)
            stack.callback(dataset.close)
            task = load_task(job)
            engine = load_engine(job)
            stack.callback(self._end, engine)
            with self._books.phase("load", "load {}".format(job.engine)):
                report.effective = dict(engine.load() or {})
            report.effective.setdefault("in_flight", engine.in_flight)
            source = make_source(dataset, task)
            self._check_inputs(source, task)
            if self._in_one_pass(engine):
                last = None
                predictions = self._measure_whole(engine, task, dataset, source, SingleCalls())
            else:
                last = self._measure_held(engine, task, dataset, source)
                predictions = self._measure_whole(engine, task, dataset, source)
            if last is not None and type(task).run is Task.run:
                report.core_agreement = agreement(task, last, predictions)
            report.describe(engine)
            self._describe(task, dataset)
        made = sorted(path for path in job.out_dir.iterdir() if path.suffix in (".npy", ".npz"))
        report.artifacts = [files.artifact(path, job.folder) for path in made]

    def _end(self, engine):
        # A stand-in that fails is one too; it knows only once it has looked for its SDK.
        self._report.simulated = bool(engine.simulated)
        engine.close()

    def _check_inputs(self, source, task):
        if type(task).run is not Task.run or type(task).core_inputs is not Task.core_inputs:
            return  # such a task makes the engine's inputs itself
        for spec in self._job.inputs:
            shape, dtype = source.layout.get(spec.name, (None, None))
            expected = (spec.shape, host_dtype(spec.dtype))
            if shape is None or (tuple(shape), np.dtype(dtype).name) != expected:
                raise self._wrong_input(spec, source.layout)

    def _wrong_input(self, spec, layout):
        found = {name: "{} {}".format(np.dtype(d).name, list(s)) for name, (s, d) in layout.items()}
        return StageFailure(
            "contract",
            "the graph's input {!r} is {} {}, the prepared items are {}".format(
                spec.name, spec.dtype, list(spec.shape), found
            ),
            "make the [preprocess] constants and the inputs in cases/{}/case.toml agree".format(
                self._job.case
            ),
        )

    def _measure_held(self, engine, task, dataset, source):
        """Warm-up, core and latency; the batch that the core loop ended with and its outputs.

        None where the vendor's own tool measured: nobody saw its outputs.
        """
        with self._books.phase("prepare", "prepare batches"):
            held = held_batches(source, dataset, self._job)
            inputs = [task.core_inputs(batch.inputs) for batch in held]
        self._report.details["core_batches_bytes"] = sum(
            array.nbytes for batch in held for array in batch.buffers.values()
        )
        if self._vendor_core(engine, inputs):
            return None
        with self._books.phase("warmup", "warm up"):
            warm = core.warm_up(engine, inputs, self._job.measure)
        self._checked(warm.first_outputs, held[0], dataset)
        index, outputs = self._core(engine, inputs, warm)
        outputs = self._checked(outputs, held[index], dataset)
        kept = {name: value.copy() for name, value in outputs.items()}
        self._latency(engine, inputs)
        return held[index], kept

    def _checked(self, outputs, batch, dataset):
        outputs = self._contract.checked(outputs, batch.rows, batch.rows)
        count = len(dataset)
        ids = [dataset.ids[(batch.start + row) % count] for row in range(batch.rows)]
        require_finite(outputs, ids)
        return outputs

    def _vendor_core(self, engine, inputs):
        """True when the vendor's own tool timed the core loop, as the result then says."""
        if type(engine).measure_core is Engine.measure_core:
            return False
        with self._books.phase("core", "core, timed by the vendor's tool"):
            timing = engine.measure_core(inputs, self._job.measure.min_seconds)
        if timing is not None:
            self._books.vendor_core(timing)
        return timing is not None

    def _core(self, engine, inputs, warm):
        rotating = core.rotation(inputs, warm, self._job.measure)
        self._report.details["core_batches"] = len(rotating)
        with self._books.phase("core", "core", unit="calls"):
            run = core.core_loop(engine, rotating, self._job.measure.min_seconds, self._progress)
        items = run.calls * self._job.batch_size
        entry = self._books.loop("core", items, run, engine.in_flight)
        entry["warmup"] = warm.document()
        if run.knows_phases:
            entry["h2d_ns"], entry["compute_ns"], entry["d2h_ns"] = run.phases_ns
        return run.last

    def _latency(self, engine, inputs):
        measure = self._job.measure
        if self._job.stage != "infer" or measure.latency_min_calls < 1:
            return
        with self._books.phase("latency", "latency"):
            run = latency_loop(engine, inputs, measure, self._job.batch_size)
        self._books.loop("latency", run.items, run, 1)

    def _measure_whole(self, engine, task, dataset, source, calls=None):
        """The whole loop's predictions; with ``calls`` its model calls are the core loop's as well."""
        job = self._job
        whole = Whole(engine, task, dataset, source, self._contract, job)
        # The first process scores the whole dataset; later ones only repeat the figure.
        limit_ns = int(job.measure.min_seconds * clock.NS_PER_S) if job.repeat else None
        with self._books.phase("whole", "whole", len(dataset), "items"):
            whole.run(limit_ns, self._progress, calls)
        if calls is not None:
            self._core_of_whole(calls)
        includes = WHOLE_INCLUDES[dataset.kind]
        self._books.loop("whole", whole.predictions.count, whole, engine.in_flight, includes)
        files.write_npz(job.out_dir / "raw.npz", whole.predictions.raw_written())
        return whole.predictions

    def _in_one_pass(self, engine):
        """Whether the whole loop's calls are the core's too: a look at a model of seconds a call."""
        vendors_own = type(engine).measure_core is not Engine.measure_core
        # With several in flight a call's time says nothing about the rate.
        return self._job.measure.single_pass and engine.in_flight == 1 and not vendors_own

    def _core_of_whole(self, calls):
        later = calls.without_first()
        self._books.loop("core", later.items, later, 1)
        self._report.details.update(core_of_whole=True, first_call_ns=calls.calls_ns[0])

    def _describe(self, task, dataset):
        self._report.details.update(
            engine=self._job.engine,
            precision=self._job.precision,
            input_kind=dataset.kind,
            items=len(dataset),
            steps_per_item=task.steps_per_item,
            loader_threads=self._job.threads,
        )
        if dataset.kind == "file":
            self._report.details.update(task.details())


def agreement(task, last, predictions):
    """Share of the core loop's last outputs that equal the scored predictions of the same items.

    ``last`` is (batch, outputs); None where the whole loop did not reach these items.
    """
    batch, outputs = last
    positions = (batch.start + np.arange(batch.rows)) % len(predictions.ids)
    if positions.max() >= predictions.count:
        return None
    scored = {name: rows[positions] for name, rows in predictions.arrays.items()}
    return float(np.mean(task.same(task.decode(outputs), scored)))
