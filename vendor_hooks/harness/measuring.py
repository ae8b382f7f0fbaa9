"""validate and infer: warm-up, core, latency, whole; the same code for the framework and the chip."""

import contextlib

import numpy as np

from harness import clock, core, files, log
from harness.dataset import Dataset
from harness.engine import Engine
from harness.errors import StageFailure
from harness.load import load_engine, load_task
from harness.loader import Loader, batch_bytes, make_source
from harness.outputs import OutputContract, host_dtype, require_finite
from harness.task import Task
from harness.whole import Whole

CORE_INCLUDES = ("host_to_device", "compute", "device_to_host", "synchronise")
WHOLE_INCLUDES = ("read", "decode", "preprocess") + CORE_INCLUDES + ("predict", "write_predictions")
TENSOR_INCLUDES = ("read",) + CORE_INCLUDES + ("predict", "write_predictions")


class Measuring:
    """One validate or infer stage; ``job.engine`` is the engine that runs."""

    def __init__(self, job, report, progress):
        self._job = job
        self._report = report
        self._progress = progress

    def run(self):
        """Load, warm up, measure, and leave samples, predictions and raw outputs in the out folder."""
        job, report = self._job, self._report
        with contextlib.ExitStack() as stack:
            dataset = Dataset(job.data_dir, job.measure.limit)
            stack.callback(dataset.close)
            task = load_task(job)
            engine = load_engine(job)
            stack.callback(engine.close)
            with self._timed("load", "load {}".format(job.engine)):
                report.effective = dict(engine.load() or {})
            report.effective.setdefault("in_flight", engine.in_flight)
            source = self._checked_source(dataset, task)
            last = self._measure_held(engine, task, dataset, source)
            whole = self._measure_whole(engine, task, dataset, source)
            self._compare(task, last, whole.predictions)
            self._describe(engine, task, dataset)
        self._name_artifacts()

    def _checked_source(self, dataset, task):
        source = make_source(dataset, task)
        plain = type(task).run is Task.run and type(task).core_inputs is Task.core_inputs
        for spec in self._job.inputs if plain else ():
            shape, dtype = source.layout.get(spec.name, (None, None))
            expected = (spec.shape, host_dtype(spec.dtype))
            if shape is None or (tuple(shape), np.dtype(dtype).name) != expected:
                raise self._wrong_input(spec, source.layout)
        return source

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
        """Warm-up, core and latency over batches held in memory; the core loop's last outputs."""
        with self._timed("prepare", "prepare batches"):
            held = held_batches(source, dataset, self._job)
            inputs = [task.core_inputs(batch.inputs) for batch in held]
        self._report.details["core_batches_bytes"] = sum(
            array.nbytes for batch in held for array in batch.buffers.values()
        )
        vendor_timing = self._vendor_core(engine, inputs)
        if vendor_timing:
            return None
        with self._timed("warmup", "warm up"):
            warm = core.warm_up(engine, inputs, self._job.measure)
        contract = OutputContract(self._job)
        first = held[0]
        require_finite(
            contract.checked(warm.first_outputs, first.rows, first.rows), self._ids(dataset, first)
        )
        index, outputs = self._core(engine, inputs, warm)
        batch = held[index]
        outputs = contract.checked(outputs, batch.rows, batch.rows)
        require_finite(outputs, self._ids(dataset, batch))
        kept = {name: value.copy() for name, value in outputs.items()}
        self._latency(engine, inputs)
        stepwise = type(task).run is not Task.run
        return None if stepwise else (batch, kept)

    def _ids(self, dataset, batch):
        count = len(dataset)
        return [dataset.ids[(batch.start + row) % count] for row in range(batch.rows)]

    def _core(self, engine, inputs, warm):
        rotating = core.rotation(inputs, warm, self._job.measure)
        self._report.details["core_batches"] = len(rotating)
        with self._timed("core", "core", unit="calls"):
            run = core.core_loop(engine, rotating, self._job.measure.min_seconds, self._progress)
        entry = self._timing("core", run.calls * self._job.batch_size, run, engine.in_flight)
        entry["warmup"] = warm.document()
        entry["includes"] = list(CORE_INCLUDES)
        if run.knows_phases:
            entry["h2d_ns"], entry["compute_ns"], entry["d2h_ns"] = run.phases_ns
        log.say("core: {} calls in {:.3f} s".format(run.calls, run.wall_ns / clock.NS_PER_S))
        return run.last

    def _vendor_core(self, engine, inputs):
        """True when the vendor's own tool timed the core loop, as the result then says."""
        if type(engine).measure_core is Engine.measure_core:
            return False
        with self._timed("core", "core, timed by the vendor's tool"):
            timing = engine.measure_core(inputs, self._job.measure.min_seconds)
        if timing is None:
            return False
        samples = None
        if len(timing.samples_ns):
            samples = "core.npy"
            files.write_samples(self._job.out_dir / samples, timing.samples_ns)
        entry = {"name": "core", "samples": samples, "clock": "vendor-tool"}
        entry["warmup"] = None
        entry["includes"] = list(timing.includes)
        for field in ("items", "calls", "wall_ns", "in_flight", "h2d_ns", "compute_ns", "d2h_ns"):
            entry[field] = getattr(timing, field)
        self._report.measurements.append(entry)
        return True

    def _latency(self, engine, inputs):
        measure = self._job.measure
        if self._job.stage != "infer" or measure.latency_min_calls < 1:
            return
        with self._timed("latency", "latency"):
            run = core.latency_loop(engine, inputs, measure)
        self._timing("latency", run.calls * self._job.batch_size, run, 1)

    def _measure_whole(self, engine, task, dataset, source):
        job = self._job
        whole = Whole(engine, task, dataset, source, OutputContract(job), job)
        # The first process scores the whole dataset; later ones only repeat the figure.
        limit_ns = int(job.measure.min_seconds * clock.NS_PER_S) if job.repeat else None
        with self._timed("whole", "whole", len(dataset), "items"):
            whole.run(limit_ns, self._progress)
        entry = self._timing("whole", whole.predictions.count, whole, engine.in_flight)
        entry["includes"] = list(TENSOR_INCLUDES if dataset.kind == "tensor" else WHOLE_INCLUDES)
        log.say(
            "whole: {} items in {:.3f} s".format(entry["items"], whole.wall_ns / clock.NS_PER_S)
        )
        files.write_npz(job.out_dir / "raw.npz", whole.predictions.raw_written())
        return whole

    def _timing(self, name, items, run, in_flight):
        """Write a loop's samples and book its measurement; gives the entry back."""
        samples = run.samples_ns()
        files.write_samples(self._job.out_dir / (name + ".npy"), samples)
        entry = {
            "name": name,
            "items": items,
            "calls": len(samples),
            "wall_ns": run.wall_ns,
            # CLOCK_MONOTONIC, which the driver's monitor shares: energy is of exactly this window.
            "started_ns": getattr(run, "started_ns", None),
            "in_flight": in_flight,
            "samples": name + ".npy",
            "clock": "harness",
        }
        self._report.measurements.append(entry)
        return entry

    def _compare(self, task, last, predictions):
        """core_agreement: the core loop's last outputs against the predictions that are scored."""
        if last is None:
            return
        batch, outputs = last
        total = len(predictions.ids)
        positions = (batch.start + np.arange(batch.rows)) % total
        if positions.max() >= predictions.count:
            return
        scored = {name: rows[positions] for name, rows in predictions.arrays.items()}
        same = task.same(task.decode(outputs), scored)
        self._report.core_agreement = float(np.mean(same))

    def _describe(self, engine, task, dataset):
        self._report.describe(engine)
        details = self._report.details
        details["engine"] = self._job.engine
        details["precision"] = self._job.precision
        details["input_kind"] = dataset.kind
        details["items"] = len(dataset)
        details["steps_per_item"] = task.steps_per_item
        details["loader_threads"] = self._job.threads
        if dataset.kind == "file":
            details.update(task.details())

    def _name_artifacts(self):
        out = self._job.out_dir
        made = sorted(path for path in out.iterdir() if path.suffix in (".npy", ".npz"))
        self._report.artifacts = [files.artifact(path, self._job.folder) for path in made]

    @contextlib.contextmanager
    def _timed(self, name, title, total=None, unit=""):
        self._progress.phase(title, total, unit)
        started = clock.now_ns()
        yield
        self._report.details.setdefault("phases_ns", {})[name] = clock.now_ns() - started


def held_batches(source, dataset, job):
    """Distinct full batches in host memory for the core loop: real items, the first of the dataset.

    As many as core_batches and core_memory_bytes allow. A dataset smaller than one batch is repeated
    within it: the device computes full batches, and they are what is counted.
    """
    count = len(dataset)
    fitting = job.measure.core_memory_bytes // max(1, batch_bytes(source.layout, job.batch_size))
    batches = max(1, min(job.measure.core_batches, count // job.batch_size, fitting))
    wanted = batches * job.batch_size
    with Loader(_Repeating(source, count), job.batch_size, job.threads) as loader:
        return list(loader.batches(wanted))


class _Repeating:
    """A source without end: position n is item n modulo the dataset's size."""

    def __init__(self, source, count):
        self._source = source
        self._count = count
        self.layout = source.layout

    def fill(self, position, row, buffers):
        self._source.fill(position % self._count, row, buffers)
