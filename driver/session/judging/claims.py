"""Holds what a report claims against the job, its own samples and the driver's clock. Pure.

Each function returns what contradicts the claims, to follow "<stage> reported …", or None.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.results.figures import NS_PER_S
from driver.system.plain_text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from driver.models.base import Clock
    from driver.models.job import JobFile
    from driver.models.report import Measurement, Memory, StageReport

MEASURED_STAGES = (StageName.VALIDATE, StageName.INFER)
_ALLOWED: dict[Clock, float] = {"harness": 1.01, "hook": 1.01, "vendor-tool": 1.1}
"""Longest loop, as a multiple of its stage's time: a node's clock drifts, and tools round."""

CORE_AGREEMENT = 0.99
"""Smallest share of the items beside the core loop whose outputs must equal those of the whole loop."""

ROUNDING: dict[Clock, tuple[float, int]] = {"harness": (1e-9, 1), "hook": (0.01, 1000)}
"""By how much samples may miss their loop's wall time: a share of it, and ns per call (docs/contract.md)."""

DEVICE_MEMORY_SHARE = 1.05
"""Largest total that an engine may report ÷ what the monitor reports: they count reserved memory differently."""


def contradiction(
    job: JobFile, report: StageReport, count: int, *, wall_s: float, by_harness: bool
) -> str | None:
    """Return what is wrong with the loops and the memory of a successful stage.

    ``count``: the dataset's items; the first infer process must cover all of them. ``wall_s``: the
    stage's duration by the driver's clock, in seconds. ``by_harness``: the hook calls the harness.
    """
    wrong = _of_memory(report.memory)
    if wrong is not None or job.stage not in MEASURED_STAGES:
        return wrong
    loops = {loop.name: loop for loop in report.measurements}
    return (
        _of_names(report)
        or _of_dataset(job, loops["whole"], count)
        or _of_time(job, report, wall_s)
        or next((found for loop in loops.values() if (found := _of_items(job, loop))), None)
        or _of_sequences(job, loops["core"])
        or _of_agreement(report.core_agreement)
        or _of_clock(report, by_harness=by_harness)
    )


def _of_names(report: StageReport) -> str | None:
    counts = Counter(loop.name for loop in report.measurements)
    missing = [name for name in ("core", "whole") if name not in counts]
    if missing:
        return f"no {' and no '.join(missing)} loop"
    twice = [name for name, number in counts.items() if number > 1]
    return f"{counts[twice[0]]} loops called {twice[0]}; there is one of a name" if twice else None


def _of_agreement(share: float | None) -> str | None:
    """Return that the core loop computed something else than what is scored, None if it did not."""
    if share is None or share >= CORE_AGREEMENT:
        return None
    return (
        f"other outputs in the core loop than the scored ones: only {share:.1%} agree; the engine may "
        "return before its outputs are ready"
    )


def _of_dataset(job: JobFile, whole: Measurement, count: int) -> str | None:
    if whole.items == count or (job.repeat and whole.items < count):
        return None
    return f"{counted(whole.items, 'item')}, but the dataset has {count}"


def _of_items(job: JobFile, loop: Measurement) -> str | None:
    """Return how the items of a loop contradict its calls of ``batch_size`` items each.

    Batches may be partial in a scenario; the last one of the dataset in the whole loop, and in the core
    loop of a single pass. A vendor's tool may count items that do not fill a batch.
    """
    if not loop.items or not loop.calls:
        return f"{counted(loop.calls, 'call')} and {counted(loop.items, 'item')} in the {loop.name} loop"
    most = loop.calls * job.job.batch_size
    if loop.clock == "vendor-tool":
        fits = abs(loop.items - most) < job.job.batch_size
    elif loop.name in ("whole", "scenario") or job.measure.single_pass:
        fits = loop.items <= most
    else:
        fits = loop.items == most
    if fits:
        return None
    return (
        f"{counted(loop.items, 'item')} in the {loop.name} loop, but {counted(loop.calls, 'call')} of "
        f"{job.job.batch_size} are {most}"
    )


def _of_sequences(job: JobFile, core: Measurement) -> str | None:
    """Return that the core loop of a language model has parts of sequences, None if it has not."""
    if job.generation is None or core.calls % job.generation.tokens == 0:
        return None
    return (
        f"{counted(core.calls, 'call')} in the core loop, which are no whole sequences of "
        f"{job.generation.tokens} tokens"
    )


def _of_memory(memory: Memory | None) -> str | None:
    if memory is None or memory.peak_bytes is None or memory.total_bytes is None:
        return None
    if memory.peak_bytes <= memory.total_bytes:
        return None
    return f"a peak of {memory.peak_bytes:,} bytes of memory, but {memory.total_bytes:,} bytes in total"


def beyond_device(memory: Memory | None, device_bytes: int | None) -> str | None:
    """Return how the memory contradicts the device's, in bytes, by its monitor (None: unknown)."""
    if memory is None or device_bytes is None:
        return None
    most = max(memory.peak_bytes or 0, memory.total_bytes or 0)
    if most <= DEVICE_MEMORY_SHARE * device_bytes:
        return None
    return f"{most:,} bytes of device memory, but the monitor says that the device has {device_bytes:,}"


def _of_clock(report: StageReport, *, by_harness: bool) -> str | None:
    if by_harness:
        return None
    if report.engine_process is not None and report.engine_process.separate:
        return "an engine in a process of its own, but its hook never calls the harness, which starts it"
    if all(loop.clock != "harness" for loop in report.measurements):
        return None
    return (
        'loops with "clock": "harness", but its hook never calls the harness; a hook that times '
        'itself must report "clock": "hook"'
    )


def _of_time(job: JobFile, report: StageReport, wall_s: float) -> str | None:
    """Return which loops exceed the stage's time, alone or summed.

    A vendor tool's wall time is computed from the rate or mean that it printed: it is left out of
    the sum and judged by its compute time alone, since it may count copies for executions that made
    none (docs/figures.md). In a single pass the core's calls are the whole loop's own.
    """
    for loop in report.measurements:
        compute_ns = loop.compute_ns if loop.clock == "vendor-tool" else None
        happened_ns = loop.wall_ns if compute_ns is None else compute_ns
        if happened_ns > _ALLOWED[loop.clock] * wall_s * NS_PER_S:
            return (
                f"a {loop.name} loop of {happened_ns / NS_PER_S:g} s, but the whole stage took "
                f"{wall_s:.3g} s"
            )
    together = sum(
        loop.wall_ns
        for loop in report.measurements
        if loop.clock != "vendor-tool" and not (job.measure.single_pass and loop.name == "core")
    )
    if together > _ALLOWED["hook"] * wall_s * NS_PER_S:
        return (
            f"loops of {together / NS_PER_S:g} s in total, but the whole stage took {wall_s:.3g} s"
        )
    return None


def of_samples(loop: Measurement, samples_ns: NDArray[np.int64]) -> str | None:
    """Return how the samples of a loop, shape [N], contradict its calls and its wall time."""
    if samples_ns.size != loop.calls:
        return f"{counted(loop.calls, 'call')} in the {loop.name} loop, but {counted(samples_ns.size, 'sample')}"
    if not samples_ns.size:
        return None
    if samples_ns.min() < 0:
        return f"a sample of {samples_ns.min()} ns in the {loop.name} loop"
    # A tool's samples are single calls, which overlap, and its wall time comes from a printed rate.
    if loop.clock == "vendor-tool":
        return None
    share, per_call = ROUNDING[loop.clock]
    rounding = share * loop.wall_ns + per_call * loop.calls
    # In float64: the sum of absurd samples would wrap around in int64.
    missed_ns = float(samples_ns.sum(dtype="float64")) - loop.wall_ns
    # The whole loop ends with predictions on disk, and a hook may pause between single calls.
    complete = loop.name == "core" or (loop.name == "latency" and loop.clock == "harness")
    if missed_ns > rounding or (complete and -missed_ns > rounding):
        return (
            f"a {loop.name} loop of {loop.wall_ns / NS_PER_S:g} s, but its samples are "
            f"{(missed_ns + loop.wall_ns) / NS_PER_S:g} s together"
        )
    return None
