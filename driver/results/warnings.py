"""The warnings about figures, one function each, with its limit and its remedy.

Every function is pure and returns a Warn, or None if there is nothing to warn about.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from driver.models.base import IN_CONTAINERS, RunnerName, Tier, Warn, WarningCode
from driver.results.statistics import MINIMUM_SAMPLES
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNSTABLE_CV = 0.05
"""Allowed variation between the processes of a job; above it, a 10 % difference means little."""
FIRST_CALL_TIMES = 10.0
HOST_SHARE = 0.20
"""Allowed share of the core loop's wall time in which the device neither computes nor copies."""
INPUT_SHARE = 0.80
"""Below this share of p_infer_core, p_infer_whole mostly measures files and preprocessing."""
THROTTLED_SHARE = 0.90
"""Clock of the loop's last third ÷ clock of its first third."""
MFU_MAX = 100.0
BEYOND_WHOLE = 20.0
"""Allowed core rate, as a multiple of the rate at which the engine worked in the whole loop, where other
threads decode beside it; 2 to 4 where they compete for two cores.
"""
BEYOND_CACHES = 256 << 20
"""Weights of this size fit into no cache of the chips whose bandwidth a manifest has (50 MB at most)."""
LEAST_WHOLE_CALLS = 8
"""Calls of the whole loop from which its rate is not that of a few slow calls."""


def collected(found: Iterable[Warn | None]) -> tuple[Warn, ...]:
    """Return the warnings without the Nones, in order."""
    return tuple(warning for warning in found if warning is not None)


def unstable(figure: str, values: Sequence[float], cv: float | None) -> Warn | None:
    """Warn if processes vary by more than 5 % (standard deviation ÷ mean)."""
    if cv is None or cv <= UNSTABLE_CV:
        return None
    listed = ", ".join(f"{value:.4g}" for value in values)
    return Warn(
        code=WarningCode.UNSTABLE,
        message=f"{figure} varies by {cv:.1%} across {len(values)} processes ({listed})",
        remedy="close other programs, lock the device's clocks, and repeat with REPEAT=5 or more",
    )


def drift(changes: Sequence[float | None]) -> Warn | None:
    """Warn if the speed changed slowly while the core loop ran (see ``driver.results.trend``).

    ``changes`` has the change of each process as a share, None where there is no drift.
    """
    found = [
        f"{'fell' if change < 0 else 'rose'} by {abs(change):.1%} in process {number}"
        for number, change in enumerate(changes, start=1)
        if change is not None
    ]
    if not found:
        return None
    return Warn(
        code=WarningCode.DRIFT,
        message=f"p_infer_core {', '.join(found)} of {len(changes)} from the loop's first part to its last",
        remedy="let the device reach its working temperature first, lock its clocks, close other programs, "
        "and repeat; compare it with another job in turns (make compare RUN=1)",
    )


def not_steady(stage: str, calls: int, wall_s: float) -> Warn | None:
    """Warn that warm-up reached its time limit; call it only if the guest reports that it was not steady."""
    return Warn(
        code=WarningCode.NOT_STEADY,
        message=f"{stage} was still speeding up after {calls} warm-up calls in {wall_s:.1f} s",
        remedy="repeat on an idle machine; if it persists, the engine tunes itself while it runs",
    )


def too_short(figure: str, wall_s: float, wanted_s: float, whole_dataset: bool) -> Warn | None:
    """Warn if the timed loop was shorter than its tier requires, unless it covered the whole dataset."""
    if wall_s >= wanted_s or whole_dataset:
        return None
    return Warn(
        code=WarningCode.TOO_SHORT,
        message=f"{figure} was measured for {wall_s:.2f} s, but its tier requires {wanted_s:g} s",
        remedy="use TIER=standard or TIER=official, without LIMIT",
    )


def few_samples(samples: int, percent: int = 99) -> Warn | None:
    """Warn if there are too few single calls for a percentile (64 for p90, 662 for p99)."""
    needed = MINIMUM_SAMPLES[percent]
    if samples >= needed:
        return None
    return Warn(
        code=WarningCode.FEW_SAMPLES,
        message=f"{samples} latency samples, but p{percent} needs {needed} at 99 % confidence",
        remedy="use TIER=official or a smaller BS, so that more single calls fit into the time",
    )


def first_call_slow(first_ns: int, median_ns: float) -> Warn | None:
    """Warn if the first call took at least ten times the median and at least a second."""
    if first_ns < 1_000_000_000 or first_ns < FIRST_CALL_TIMES * median_ns:
        return None
    return Warn(
        code=WarningCode.FIRST_CALL_SLOW,
        message=f"the first call took {first_ns / 1e9:.1f} s, the median is {median_ns / 1e6:.1f} ms",
        remedy="this happens once per process; keep the process, or use an engine that compiles ahead",
    )


def host_bound(wall_ns: int, device_ns: int | None) -> Warn | None:
    """Warn if the device idled for more than a fifth of the core loop.

    ``device_ns`` is h2d + compute + d2h, or None if the engine does not report it (no warning).
    """
    if device_ns is None or device_ns >= (1 - HOST_SHARE) * wall_ns:
        return None
    idle = 1 - device_ns / wall_ns
    return Warn(
        code=WarningCode.HOST_BOUND,
        message=f"the device idled for {idle:.0%} of the core loop: the host does not keep it busy",
        remedy="raise BS, or keep more batches in flight if the engine can",
    )


def input_bound(
    whole: float | None, core: float | None, loader_threads: int | None = None
) -> Warn | None:
    """Warn if p_infer_whole is under 80 % of p_infer_core (both items/s of the same item).

    ``loader_threads``: cores that read and preprocessed, None where the model runs on them too. Input-bound,
    they were all busy, and workers scale: the cores that would keep up are in proportion
    (`make bench CASE=overlap` compares it with a simulated device).
    """
    if whole is None or core is None or whole >= INPUT_SHARE * core:
        return None
    message = f"{whole:.4g}/s from files, {core:.4g}/s from memory: reading and preprocessing are the bottleneck"
    if loader_threads is None or whole <= 0:
        needed = "more processor cores"
    else:
        cores = math.ceil(loader_threads * core / whole)
        message += (
            f" ({counted(loader_threads, 'core')}, where the device would take about {cores})"
        )
        needed = f"about {cores} processor cores like these"
    return Warn(
        code=WarningCode.INPUT_BOUND,
        message=message,
        remedy=f"give the job {needed}, or faster storage; compare chips by p_infer_core",
    )


def whole_exceeds_core(whole: Sequence[float], core: Sequence[float]) -> Warn | None:
    """Warn if it was faster from files than from memory, which is impossible: whole contains core.

    Both are items/s of the same item, one per process. The slowest process from files must beat the
    fastest from memory by more than the 5 % by which processes may vary.
    """
    if not whole or not core or min(whole) <= (1 + UNSTABLE_CV) * max(core):
        return None
    return Warn(
        code=WarningCode.WHOLE_EXCEEDS_CORE,
        message=f"at least {min(whole):.4g}/s from files, at most {max(core):.4g}/s from memory: "
        "whole contains core and cannot be faster",
        remedy="repeat on an idle machine with TIER=standard; if it persists, core keeps fewer batches "
        "in flight than whole: fix the engine's in_flight before comparing",
    )


def throttled(clock_mhz: Sequence[float]) -> Warn | None:
    """Warn if the device's clock fell by more than a tenth from the first third to the last.

    ``clock_mhz`` are the monitor's samples during infer, in order; fewer than six give no warning.
    """
    third = len(clock_mhz) // 3
    if third < 2:
        return None
    first = sum(clock_mhz[:third]) / third
    last = sum(clock_mhz[-third:]) / third
    if first <= 0 or last >= THROTTLED_SHARE * first:
        return None
    return Warn(
        code=WarningCode.THROTTLED,
        message=f"the clock fell from {first:.0f} to {last:.0f} MHz while measuring",
        remedy="improve cooling or change the power limit, then repeat; the result has the temperatures",
    )


def device_shared(when: str, others: Sequence[str], memory_bytes: int | None = None) -> Warn | None:
    """Warn if other processes were on the device; ``when`` is "before", "during" or "after"."""
    if not others:
        return None
    used = f", {memory_bytes / 2**30:.1f} GiB in use" if memory_bytes else ""
    return Warn(
        code=WarningCode.DEVICE_SHARED,
        message=f"{when} the job, other processes were on the device: {', '.join(others)}{used}",
        remedy="stop them or choose another DEVICE, then repeat",
    )


def smoke(limit: int | None) -> Warn:
    """Return the warning that every smoke run has."""
    items = f" over {counted(limit, 'item')}" if limit else ""
    return Warn(
        code=WarningCode.SMOKE,
        message=f"figures of a smoke run{items} are not comparable",
        remedy="use TIER=standard, without LIMIT",
    )


def synthetic(weights: str, data: str) -> Warn | None:
    """Warn if weights or data are synthetic, so that accuracy is agreement with the fp32 reference."""
    found = [name for name, kind in (("weights", weights), ("data", data)) if kind == "synthetic"]
    if not found:
        return None
    return Warn(
        code=WarningCode.SYNTHETIC,
        message=f"synthetic {' and '.join(found)}: accuracy is agreement with fp32, not with labels",
        remedy="set the paths of the published weights and of the dataset in assay.local.toml",
    )


def simulated(is_simulated: bool) -> Warn | None:
    """Warn if a test's stand-in for the vendor's SDK ran."""
    if not is_simulated:
        return None
    return Warn(
        code=WarningCode.SIMULATED,
        message="a stand-in for the vendor's SDK ran, not its device: no figure here is a measurement",
        remedy="run on the vendor's device",
    )


def not_isolated(runner: RunnerName, tier: Tier, lacking: Iterable[str] = ()) -> Warn | None:
    """Warn if the job ran outside a container, except for a smoke run, which needs no isolation.

    ``lacking``: what of the isolation this host's engine did not enforce.
    """
    if tier is Tier.SMOKE:
        return None
    if runner in IN_CONTAINERS:
        return _isolated_in_part(sorted(set(lacking)))
    return Warn(
        code=WarningCode.NOT_ISOLATED,
        message=f"the {runner} runner does not isolate: the job used the host's network, files and "
        "memory",
        remedy="use RUNNER=docker for figures to publish",
    )


def _isolated_in_part(lacking: Sequence[str]) -> Warn | None:
    if not lacking:
        return None
    return Warn(
        code=WarningCode.NOT_ISOLATED,
        message=f"the container's engine could not enforce everything here: {', '.join(lacking)}",
        remedy="docs/engines.md says what the administrator can allow; or use RUNNER=docker",
    )


def unpinned(
    image: str, *, base: str, base_of_stack: str, pinned: bool, installers: Sequence[str] = ()
) -> Warn | None:
    """Warn if the base or the ``installers`` of an image are unpinned, so that a rebuild may differ.

    ``base`` is the image's actual base. If it is not ``base_of_stack``, the base that stack.toml
    names, a lab (BASE=) or a test's stand-in replaced it.
    """
    own = base.partition("@")[0] == base_of_stack.partition("@")[0]
    loose = []
    if not pinned and own:
        loose.append(f"the base image {base} has no pinned digest")
    elif not pinned:
        loose.append(f"{base} replaces the stack's own base image {base_of_stack}")
    if installers:
        loose.append(f"no sha256 is pinned for {', '.join(installers)}")
    if not loose:
        return None
    return Warn(
        code=WarningCode.UNPINNED,
        message=f"{image}: {'; '.join(loose)}",
        remedy="make pin VENDOR=… (INSTALLERS=<folder>), on a machine that reaches a registry"
        if pinned or own
        else "build it without BASE=, or name the base by its digest: BASE=<image>@sha256:…",
    )


def found_stack(role: str, *, python: str, packages: int, in_place_of: str) -> Warn:
    """Return the warning that a Python of the host replaced a pinned stack, which is not reproducible."""
    return Warn(
        code=WarningCode.FOUND_STACK,
        message=f"the {role} stack is this host's Python {python} with "
        f"{counted(packages, 'package')}, in place "
        f"of {in_place_of}: it is not pinned",
        remedy="unset STACK_PYTHON and REFERENCE_PYTHON to use the pinned stacks",
    )


def chip_unconfirmed(vendor: str, caveat: str | None) -> Warn | None:
    """Warn if the device did not confirm the job's chip; ``driver.plan.chips`` words the caveat."""
    if caveat is None:
        return None
    return Warn(
        code=WarningCode.CHIP_UNCONFIRMED,
        message=caveat,
        remedy=f"name the chip with CHIP=…; `make list` shows the chips of {vendor}, and vendor.toml "
        "has the device names of each under [chips] match",
    )


def part_of_device(part: str) -> Warn | None:
    """Warn if only part of a device was measured (see ``driver.plan.chips``); "" is a whole device."""
    if not part:
        return None
    return Warn(
        code=WarningCode.PART_OF_DEVICE,
        message=f"only part of a device was measured: {part}; there is no MFU, and energy and memory of "
        "the whole device are left out",
        remedy="compare it only with the same part; for figures of the chip, run on the whole device, "
        "without MIG, virtual devices, MPS shares or container limits",
    )


def arithmetic_differs(
    planned: str, effective: str | None, others: Sequence[str] = ()
) -> Warn | None:
    """Warn if the engine reports a different arithmetic than the precision implies.

    ``effective`` is the last process's, ``others`` what else ran in earlier ones.
    """
    if effective in {None, planned} and not others:
        return None
    mixed = f" in its last process and {' and '.join(others)} in others, which the figures mix"
    return Warn(
        code=WarningCode.EFFECTIVE_DIFFERS,
        message=f"{planned} was requested, but the engine ran {effective}{mixed if others else ''}; MFU "
        f"uses the peak of {effective}",
        remedy="compare it only with figures of that arithmetic; vendor.toml and the hook's README name "
        "the settings that decide",
    )


def arithmetic_unread(requested: str, why: str | None) -> Warn | None:
    """Warn if the SDK does not state which arithmetic ran; ``why`` is the reason, None if it does."""
    if why is None:
        return None
    return Warn(
        code=WarningCode.ARITHMETIC_UNREAD,
        message=f"the arithmetic that ran was not read back: {why}; {requested} is only what was requested, "
        "and MFU uses its peak",
        remedy="compare it with figures of the same engine, or with accuracy and raw outputs in mind; "
        "the README of the vendor's hook says what each precision computes",
    )


def implausible_mfu(mfu: float | None, arithmetic: str, peak: float | None) -> Warn | None:
    """Warn if the MFU is above 100 %, more than the chip can do; ``peak`` is in operations/s."""
    if mfu is None or peak is None or mfu <= MFU_MAX:
        return None
    return Warn(
        code=WarningCode.IMPLAUSIBLE,
        message=f"MFU is {mfu:.0f} % of the chip's {peak:.3g} {arithmetic} operations/s: one of the two "
        "is wrong, and reports leave the result out",
        remedy="check the unit of the peak in vendor.toml (dense operations/s, 2 per MAC, one chip), the "
        "chip (CHIP=…), the arithmetic that ran, and that the hook's clock stops only after the "
        "outputs are ready",
    )


def implausible_core(core: float | None, items: int, calls: int, engine_s: float) -> Warn | None:
    """Warn if core was over 20 times as fast as the same engine in the whole loop.

    ``core`` is in items/s; ``items`` and ``calls`` are of the whole loop, and ``engine_s`` is the time
    that it spent in the engine, without decoding.
    """
    if core is None or engine_s <= 0 or calls < LEAST_WHOLE_CALLS:
        return None
    times = core * engine_s / max(items, 1)
    if times <= BEYOND_WHOLE:
        return None
    return Warn(
        code=WarningCode.IMPLAUSIBLE,
        message=f"core ran at {core:.4g}/s, {times:.0f} times as fast as the engine in the loop that starts "
        f"from files ({items / engine_s:.4g}/s without decoding), which decoding does not explain",
        remedy="make the engine compute every batch of the core loop, and repeat on an idle machine",
    )


def implausible_reads(
    calls_per_s: float, in_flight: int, weight_bytes: int, bandwidth: float | None
) -> Warn | None:
    """Warn if the weights were read faster than the chip's memory can, in bytes/s.

    Every call reads all of them, but for calls that are in flight together. Weights that a cache may hold
    give no warning.
    """
    read = calls_per_s * weight_bytes / in_flight
    if bandwidth is None or weight_bytes < BEYOND_CACHES or read <= bandwidth:
        return None
    return Warn(
        code=WarningCode.IMPLAUSIBLE,
        message=f"{calls_per_s:.4g} calls/s read {weight_bytes / 1e6:.0f} MB of weights at {read:.3g} bytes/s, "
        f"but the chip's memory gives {bandwidth:.3g}",
        remedy="check memory_bandwidth in vendor.toml, the chip, and that the engine computes every batch",
    )


def extra_privileges(
    vendor: str, capabilities: Sequence[str], writable: Sequence[str] = ()
) -> Warn | None:
    """Warn if the vendor's container gets capabilities or write access to host paths."""
    granted = [f"the capability {name}" for name in capabilities]
    granted += [f"write access to {path} of the host" for path in writable]
    if not granted:
        return None
    return Warn(
        code=WarningCode.EXTRA_PRIVILEGES,
        message=f"containers of {vendor} have {', '.join(granted)}",
        remedy="vendor.toml gives the reason; remove them if a driver works without them",
    )


def same_process(stages: Sequence[str]) -> Warn | None:
    """Warn if vendor code of these stages ran in the process that measured, and could change what it saw."""
    if not stages:
        return None
    return Warn(
        code=WarningCode.SAME_PROCESS,
        message=f"{' and '.join(stages)} ran vendor code in the process that measures: it could change the "
        "clock, the samples and the report",
        remedy="remove same_process from the engine, so that the harness starts it in a process of its own; a "
        "hook that measures by itself always has this warning",
    )


def clock_unchecked(stages: Sequence[str]) -> Warn | None:
    """Warn if these stages, which the harness timed, did not answer the driver's clock."""
    if not stages:
        return None
    return Warn(
        code=WarningCode.CLOCK_UNCHECKED,
        message=f"{' and '.join(stages)} did not tell the time when the driver asked: the clock of the loops is "
        "the guest's alone",
        remedy="let the hook start the harness of this tree with /job as it is; a container runtime that keeps "
        "Unix sockets of the host out (gVisor without --host-uds=open, Kata) cannot have it: use runc or crun",
    )
