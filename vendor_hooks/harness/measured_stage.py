"""Stages validate and infer: warm-up, core, latency, whole; one code path for framework and chip."""

import contextlib
from typing import Iterator, Optional

import numpy as np

from harness import clock, files, garbage
from harness.boundary.opening import describe, open_engine
from harness.engine import Engine
from harness.errors import StageFailure
from harness.inputs.batch_loader import ItemSource, Layout, make_source
from harness.inputs.dataset import Dataset
from harness.job import Job, TensorSpec
from harness.loops.core_check import CoreCheck
from harness.loops.generation import GenerationLoops
from harness.loops.in_memory import InMemoryLoops
from harness.loops.latency import SingleCalls
from harness.loops.whole import WholeLoop
from harness.outputs.contract import OutputContract, host_dtype
from harness.outputs.measurements import WHOLE_INCLUDES, Measurements
from harness.outputs.predictions import DecodedPredictions
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.plugins import load_task
from harness.scenarios.scenario_run import logs_of, scenario_of
from harness.task import Task

#: Of an engine that takes no token but its own: what the whole loop's rate is not.
STEPS_RECOMPUTED = (
    "steps_recomputed",
    "the engine takes no token that it did not choose, so the whole loop, which feeds the text's own tokens, computes "
    "each of their logits from the beginning of the text: its rate is far below the engine's",
    "compare p_infer_core, or a load scenario (SCENARIO=offline)",
)


@contextlib.contextmanager
def engine_of(job: Job, report: Report) -> Iterator[Engine]:
    """The engine of ``job``, closed at the end.

    Whether it is simulated is reported after a failure too: an engine knows only once it has looked for its SDK.
    """
    engine = open_engine(job, report)
    try:
        yield engine
    except BaseException:
        report.simulated = bool(engine.simulated)
        # What close raises now would hide the failure that ended the stage.
        with contextlib.suppress(Exception):
            engine.close()
        raise
    report.simulated = bool(engine.simulated)
    engine.close()


class MeasuredStage:
    """One validate or infer stage; ``job.engine`` is the engine that runs."""

    def __init__(self, job: Job, report: Report, progress: ProgressFile) -> None:
        self._job = job
        self._report = report
        self._progress = progress
        self._measurements = Measurements(job, report, progress)
        self._contract = OutputContract(job)

    def run(self) -> None:
        """Load, warm up and measure; write samples, predictions and raw outputs to the out folder."""
        job, report = self._job, self._report
        with contextlib.ExitStack() as stack:
            dataset = Dataset(job.data_dir, job.measure.limit)
            stack.callback(dataset.close)
            task = load_task(job)
            scenario = scenario_of(job, report, self._measurements, self._progress)
            engine = stack.enter_context(engine_of(job, report))
            with self._measurements.phase("load", "load {}".format(job.engine)):
                report.effective = dict(engine.load() or {})
                garbage.search_as_usual()
            report.effective.setdefault("in_flight", engine.in_flight)
            source = make_source(dataset, task)
            self._check_inputs(source, task)
            if self._in_one_pass(engine):
                check = None
                predictions = self._measure_whole(engine, task, dataset, source, SingleCalls())
            else:
                check = self._measure_in_memory(engine, task, dataset, source)
                predictions = self._measure_whole(engine, task, dataset, source)
            if check is not None and self._makes_the_same_calls(task):
                report.core_agreement = check.agreement(predictions)
            if scenario is not None:
                scenario.run(engine, task, dataset, source, predictions)
            report.describe(engine)
            describe(engine, report)
            self._describe(task, dataset)
        made = sorted(path for path in job.out_dir.iterdir() if path.suffix in (".npy", ".npz"))
        report.artifacts = [files.artifact(path, job.folder) for path in made]
        if scenario is not None:
            report.artifacts += logs_of(job)

    def _measure_in_memory(
        self, engine: Engine, task: Task, dataset: Dataset, source: ItemSource
    ) -> Optional[CoreCheck]:
        """Measure core and what belongs to it; return the check of its outputs."""
        made_of = (self._job, self._report, self._measurements, self._contract, self._progress)
        if self._job.generation is not None:
            return GenerationLoops(*made_of).run(engine, dataset, source)
        return InMemoryLoops(*made_of).run(engine, task, dataset, source)

    def _check_inputs(self, source: ItemSource, task: Task) -> None:
        if type(task).run is not Task.run or type(task).core_inputs is not Task.core_inputs:
            return  # this task makes the engine's inputs itself
        for spec in self._job.inputs:
            shape, dtype = source.layout.get(spec.name, (None, None))
            expected = (spec.shape, host_dtype(spec.dtype))
            if shape is None or (tuple(shape), np.dtype(dtype).name) != expected:
                raise self._wrong_input(spec, source.layout)

    def _wrong_input(self, spec: TensorSpec, layout: Layout) -> StageFailure:
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

    def _measure_whole(
        self,
        engine: Engine,
        task: Task,
        dataset: Dataset,
        source: ItemSource,
        calls: Optional[SingleCalls] = None,
    ) -> DecodedPredictions:
        """Run the whole loop, return its predictions; with ``calls``, its model calls count as core too."""
        job = self._job
        whole = WholeLoop(engine, task, dataset, source, self._contract, job)
        # The first process predicts the whole dataset; later ones only repeat the figure.
        limit_ns = int(job.measure.min_seconds * clock.NS_PER_S) if job.repeat else None
        with self._measurements.phase("whole", "whole", len(dataset), "items"):
            whole.run(limit_ns, self._progress, calls)
        if calls is not None:
            self._core_of_whole(calls)
        if engine.schedules and task.same_steps:
            self._report.warn(*STEPS_RECOMPUTED)
        includes = WHOLE_INCLUDES[dataset.kind]
        self._measurements.loop("whole", whole.predictions.count, whole, engine.in_flight, includes)
        self._report.details["whole_engine_ns"] = whole.engine_ns
        files.write_npz(job.out_dir / "raw.npz", whole.predictions.raw_written())
        return whole.predictions

    def _makes_the_same_calls(self, task: Task) -> bool:
        """Whether an item's outputs in the whole loop are those that it would have in core."""
        if self._job.generation is not None:
            return task.same_steps
        return type(task).run is Task.run

    def _in_one_pass(self, engine: Engine) -> bool:
        """Whether the whole loop's calls count as core too, as in smoke runs of models with slow calls."""
        # With several batches in flight, the time of one call says nothing about the rate; and a language
        # model's core loop is whole sequences.
        return (
            self._job.measure.single_pass
            and self._job.generation is None
            and engine.in_flight == 1
            and not engine.times_itself()
        )

    def _core_of_whole(self, calls: SingleCalls) -> None:
        later = calls.without_first()
        self._measurements.loop("core", later.items, later, 1)
        self._report.details.update(core_of_whole=True, first_call_ns=calls.calls_ns[0])

    def _describe(self, task: Task, dataset: Dataset) -> None:
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
