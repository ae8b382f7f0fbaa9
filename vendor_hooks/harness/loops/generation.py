"""What is measured of a language model: warm-up, the core loop of prefills and decode steps, the check of its logits."""

from harness import files
from harness.engine import Engine
from harness.engines import host_memory
from harness.errors import StageFailure
from harness.inputs.batch_loader import ItemSource
from harness.inputs.core_pool import Feed
from harness.inputs.dataset import Dataset
from harness.inputs.prompts import Prompts
from harness.job import Job
from harness.loops import token_loop
from harness.loops.core import WarmUp
from harness.loops.in_memory import SAMPLES_FILE
from harness.loops.repeated import ROUNDS, calls_per_second, seconds_of_a_loop
from harness.loops.scheduled_loop import ScheduledLoop
from harness.loops.sequence_check import SequenceCheck, written
from harness.outputs.contract import OutputContract
from harness.outputs.core_samples import AUDIT_TIMES, CHECK_SECONDS
from harness.outputs.measurements import CORE_INCLUDES, Measurements
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.outputs.sequence_samples import SequenceSamples

#: Bytes of a number in the cache, by arithmetic.
CACHED_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
INCLUDES = (*CORE_INCLUDES, "choose_tokens")
#: Besides, of an engine that decides which sequences a step advances.
SCHEDULED_INCLUDES = (*INCLUDES, "schedule")
GIB = float(1 << 30)


class GenerationLoops:
    """The loops of one stage that need no files; they fill the report."""

    def __init__(
        self,
        job: Job,
        report: Report,
        measurements: Measurements,
        contract: OutputContract,
        progress: ProgressFile,
    ) -> None:
        assert job.generation is not None, "only a case of generation has these loops"
        self._job = job
        self._lengths = job.generation
        self._report = report
        self._measurements = measurements
        self._contract = contract
        self._progress = progress

    def run(self, engine: Engine, dataset: Dataset, source: ItemSource) -> SequenceCheck:
        """Measure; return the check of the core loop's logits."""
        require_room_for_cache(engine, self._job)
        with self._measurements.phase("prepare", "prepare prompts"):
            prompts = Prompts(self._job, source, len(dataset), engine.empty)
        loop = loop_of(engine, prompts, self._job)
        with self._measurements.phase("warmup", "warm up"):
            warm = token_loop.warm_up(loop, self._job.measure, self._lengths.tokens)
        kept = self._core(engine, prompts, warm)
        self._repeated(engine, prompts)
        return self._checked(engine, prompts, kept)

    def _core(self, engine: Engine, prompts: Prompts, warm: WarmUp) -> SequenceSamples:
        job, measure = self._job, self._job.measure
        logits = self._lengths.tokens * job.outputs[0].shape[0] * 4
        # An engine that schedules computes each step of a check from the sequence's beginning.
        again_ns = self._lengths.tokens * warm.first_call_ns if engine.schedules else warm.call_ns
        kept = SequenceSamples(
            prompts.random, job.batch_size, logits, again_ns, CHECK_SECONDS, measure.audit
        )
        loop = loop_of(engine, prompts, job)
        with self._measurements.phase("core", "core", unit="tokens"):
            run = loop.run(token_loop.for_seconds(measure.min_seconds), self._progress, kept)
        items = run.calls * job.batch_size
        includes = SCHEDULED_INCLUDES if engine.schedules else INCLUDES
        entry = self._measurements.loop("core", items, run, 1, includes)
        entry["warmup"] = warm.document()
        if isinstance(loop, ScheduledLoop):
            self._report.details["scheduling"] = loop.document()
        self._report.details["core_inputs"] = prompts.document()
        return kept

    def _repeated(self, engine: Engine, prompts: Prompts) -> None:
        """For an audit, the first process compares repeated prompts with fresh ones."""
        measure = self._job.measure
        if self._job.stage != "infer" or self._job.repeat or not measure.audit:
            return
        feeds = {"fresh": prompts, "repeated": token_loop.RepeatedPrompts(prompts)}
        loops = {name: loop_of(engine, feed, self._job) for name, feed in feeds.items()}
        rates = {name: [] for name in feeds}  # type: ignore[var-annotated]
        more = token_loop.for_seconds(seconds_of_a_loop(measure.min_seconds))
        with self._measurements.phase("repeated", "repeated prompts against fresh ones"):
            for number in range(ROUNDS):
                for name in sorted(loops, reverse=bool(number % 2)):
                    rates[name].append(calls_per_second(loops[name].run(more)))
        self._report.details["repeated_inputs"] = rates

    def _checked(self, engine: Engine, prompts: Prompts, kept: SequenceSamples) -> SequenceCheck:
        samples = kept.samples()
        check = SequenceCheck(engine, self._contract, self._job)
        with self._measurements.phase("check", "check sampled sequences of core"):
            samples = check.check(prompts, samples)
        self._report.details["core_check"] = {
            "calls": [sample.call for sample in samples],
            "items": len(samples),
            "largest_difference": check.largest,
            "tolerance": check.tolerance,
        }
        times = AUDIT_TIMES if self._job.measure.audit else 1
        arrays = written(samples, self._job.inputs[0].name, self._job.outputs[0].name, times)
        files.write_npz(self._job.out_dir / SAMPLES_FILE, arrays)
        return check


def loop_of(engine: Engine, prompts: Feed, job: Job) -> token_loop.TokenLoop:
    """The loop for an engine: of steps that the harness asks for, or of those that the engine schedules."""
    return (ScheduledLoop if engine.schedules else token_loop.TokenLoop)(engine, prompts, job)


def require_room_for_cache(engine: Engine, job: Job) -> None:
    """Raise StageFailure (out_of_memory), before anything is allocated, if the keys and values do not fit the device.

    Without the device's memory there is nothing to compare with.
    """
    found, lengths = engine.memory(), job.generation
    if found is None or found[1] is None or lengths is None:
        return
    total = found[1]
    free = total - (found[0] or 0)
    if total == host_memory.total_bytes():
        # The device is the host, whose memory other processes have, too.
        free = min(free, host_memory.available_bytes() or free)
    needed = lengths.cache_elements(job.batch_size) * CACHED_BYTES.get(job.arithmetic, 4)
    if needed <= free:
        return
    raise StageFailure(
        "out_of_memory",
        "the keys and values of {} sequences of {} tokens need {:.1f} GiB, but of the device's {:.1f} GiB {:.1f} are "
        "free".format(
            job.batch_size,
            lengths.prompt + lengths.tokens,
            needed / GIB,
            total / GIB,
            max(0, free) / GIB,
        ),
        "use a smaller BS, PROMPT or TOKENS",
    )
