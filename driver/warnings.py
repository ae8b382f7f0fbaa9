"""The warnings that figures give, each in one place, with its limit and its remedy.

Every function is pure and returns a Warn or None; `collected` keeps what was found, in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import RunnerName, Tier, Warn, WarningCode
from driver.statistics import MINIMUM_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNSTABLE_CV = 0.05
"""Processes of one job may vary by this share; above it a difference of 10 % says little."""
FIRST_CALL_TIMES = 10.0
HOST_SHARE = 0.20
"""Share of the core loop's wall time in which the device was not computing or copying."""
INPUT_SHARE = 0.80
"""Below this share of p_infer_core, p_infer_whole measures files and preprocessing."""
THROTTLED_SHARE = 0.90
"""Clock of the loop's last third ÷ clock of its first third."""
CORE_AGREEMENT = 0.99
MFU_MAX = 100.0


def collected(found: Iterable[Warn | None]) -> tuple[Warn, ...]:
    """Return the warnings that there are."""
    return tuple(warning for warning in found if warning is not None)


def unstable(figure: str, values: Sequence[float], cv: float | None) -> Warn | None:
    """Fresh processes disagree by more than 5 % (standard deviation ÷ mean)."""
    if cv is None or cv <= UNSTABLE_CV:
        return None
    listed = ", ".join(f"{value:.4g}" for value in values)
    return Warn(
        code=WarningCode.UNSTABLE,
        message=f"{figure} varies by {cv:.1%} across {len(values)} processes ({listed})",
        remedy="close other programs, fix the clocks, and repeat with REPEAT=5 or more",
    )


def not_steady(stage: str, calls: int, wall_s: float) -> Warn | None:
    """Warm-up ended by its time limit; call it only when the guest says that it was not steady."""
    return Warn(
        code=WarningCode.NOT_STEADY,
        message=f"{stage} was still speeding up after {calls} warm-up calls in {wall_s:.1f} s",
        remedy="repeat on an idle machine; if it stays, the engine tunes itself while it runs",
    )


def too_short(figure: str, wall_s: float, wanted_s: float, whole_dataset: bool) -> Warn | None:
    """The timed loop ran for less than its tier asks, and not because the dataset ended."""
    if wall_s >= wanted_s or whole_dataset:
        return None
    return Warn(
        code=WarningCode.TOO_SHORT,
        message=f"{figure} was measured for {wall_s:.2f} s, its tier asks for {wanted_s:g} s",
        remedy="use TIER=standard or TIER=official, without LIMIT",
    )


def few_samples(samples: int, percent: int = 99) -> Warn | None:
    """Too few single calls for a percentile (64 for p90, 662 for p99)."""
    needed = MINIMUM_SAMPLES[percent]
    if samples >= needed:
        return None
    return Warn(
        code=WarningCode.FEW_SAMPLES,
        message=f"{samples} latency samples, p{percent} needs {needed} at 99 % confidence",
        remedy="use TIER=official, or a smaller BS, so that more single calls fit the time",
    )


def first_call_slow(first_ns: int, median_ns: float) -> Warn | None:
    """The first call took ten times the median or more, and at least a second."""
    if first_ns < 1_000_000_000 or first_ns < FIRST_CALL_TIMES * median_ns:
        return None
    return Warn(
        code=WarningCode.FIRST_CALL_SLOW,
        message=f"the first call took {first_ns / 1e9:.1f} s, the median is {median_ns / 1e6:.1f} ms",
        remedy="expect this once per process: keep the process, or use an engine that compiles ahead",
    )


def host_bound(wall_ns: int, device_ns: int | None) -> Warn | None:
    """The device idled for more than a fifth of the core loop.

    ``device_ns`` is h2d + compute + d2h where the engine can tell, else None (no warning).
    """
    if device_ns is None or device_ns >= (1 - HOST_SHARE) * wall_ns:
        return None
    idle = 1 - device_ns / wall_ns
    return Warn(
        code=WarningCode.HOST_BOUND,
        message=f"the device idled for {idle:.0%} of the core loop: the host does not feed it",
        remedy="raise BS, or keep more batches in flight if the engine can",
    )


def input_bound(whole: float | None, core: float | None) -> Warn | None:
    """p_infer_whole is under 80 % of p_infer_core (both items/s of the same item)."""
    if whole is None or core is None or whole >= INPUT_SHARE * core:
        return None
    return Warn(
        code=WarningCode.INPUT_BOUND,
        message=f"from files {whole:.4g}/s, from memory {core:.4g}/s: reading and preprocessing limit",
        remedy="give the job more processor cores or faster storage; compare chips by p_infer_core",
    )


def whole_exceeds_core(whole: Sequence[float], core: Sequence[float]) -> Warn | None:
    """From files it was faster than from memory, which the definitions exclude: whole contains core.

    Both are items/s of the same item, one a process. The spread explains what the slowest process
    from files and the fastest from memory leave open, and the 5 % by which processes may vary.
    """
    if not whole or not core or min(whole) <= (1 + UNSTABLE_CV) * max(core):
        return None
    return Warn(
        code=WarningCode.WHOLE_EXCEEDS_CORE,
        message=f"from files {min(whole):.4g}/s at least, from memory {max(core):.4g}/s at most: "
        "whole contains core and cannot be faster",
        remedy="repeat on an idle machine with TIER=standard; if it stays, core keeps fewer batches "
        "in flight than whole: mend the engine's in_flight before comparing",
    )


def throttled(clock_mhz: Sequence[float]) -> Warn | None:
    """The device's clock fell by more than a tenth from the first third to the last.

    ``clock_mhz`` are the monitor's samples during infer, in order; fewer than six tell nothing.
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
        remedy="cool the device or set its power limit, then repeat; see temperatures in the result",
    )


def device_shared(when: str, others: Sequence[str], memory_bytes: int | None = None) -> Warn | None:
    """Somebody else's processes were on the device ``when`` (before, during, after)."""
    if not others:
        return None
    used = f", {memory_bytes / 2**30:.1f} GiB in use" if memory_bytes else ""
    return Warn(
        code=WarningCode.DEVICE_SHARED,
        message=f"{when} the job the device was in use by others: {', '.join(others)}{used}",
        remedy="end them or choose another DEVICE, then repeat",
    )


def core_disagrees(agreement: float | None) -> Warn | None:
    """The core loop's last outputs are not the ones that were scored (share that agrees)."""
    if agreement is None or agreement >= CORE_AGREEMENT:
        return None
    return Warn(
        code=WarningCode.CORE_DISAGREES,
        message=f"only {agreement:.1%} of the core loop's outputs equal the scored ones",
        remedy="the engine may return before its outputs are there: have its hook synchronise",
    )


def smoke(limit: int | None) -> Warn:
    """A look, never comparable."""
    items = f" over {limit} items" if limit else ""
    return Warn(
        code=WarningCode.SMOKE,
        message=f"a smoke run{items} is a look, not a figure to compare",
        remedy="use TIER=standard, without LIMIT",
    )


def synthetic(weights: str, data: str) -> Warn | None:
    """Weights or data are made up: accuracy is agreement with the fp32 reference."""
    made_up = [name for name, kind in (("weights", weights), ("data", data)) if kind == "synthetic"]
    if not made_up:
        return None
    return Warn(
        code=WarningCode.SYNTHETIC,
        message=f"synthetic {' and '.join(made_up)}: accuracy is agreement with fp32, not with labels",
        remedy="give the published weights and the dataset in assay.local.toml",
    )


def simulated(is_simulated: bool) -> Warn | None:
    """What ran was a test's stand-in of a vendor's SDK."""
    if not is_simulated:
        return None
    return Warn(
        code=WarningCode.SIMULATED,
        message="a stand-in of the vendor's SDK ran, not its device: no figure here is a measurement",
        remedy="run on the vendor's device",
    )


def not_isolated(runner: RunnerName, tier: Tier) -> Warn | None:
    """Outside a container nothing but a clean environment isolates a stage (a look needs no more)."""
    if runner is RunnerName.DOCKER or tier is Tier.SMOKE:
        return None
    return Warn(
        code=WarningCode.NOT_ISOLATED,
        message=f"the {runner} runner isolates nothing: network, files and memory were the host's",
        remedy="RUNNER=docker for figures to publish",
    )


def unpinned(
    image: str, *, base: str, base_of_stack: str, pinned: bool, installers: Sequence[str] = ()
) -> Warn | None:
    """An image whose base or ``installers`` no digest fixes: the same command may make another tomorrow.

    ``base`` is what the image is on; where it is not ``base_of_stack``, which the stack names, somebody
    put it there: a lab (BASE=), or a test's stand-in.
    """
    own = base.partition("@")[0] == base_of_stack.partition("@")[0]
    loose = []
    if not pinned and own:
        loose.append(f"the base image {base} is pinned by no digest")
    elif not pinned:
        loose.append(f"{base} stands in for the stack's own base image {base_of_stack}")
    if installers:
        loose.append(f"no sha256 pins {', '.join(installers)}")
    if not loose:
        return None
    return Warn(
        code=WarningCode.UNPINNED,
        message=f"{image}: {'; '.join(loose)}",
        remedy="make pin VENDOR=… (INSTALLERS=<folder>) where a registry answers"
        if pinned or own
        else "build it without BASE=, or name the base by its digest: BASE=<image>@sha256:…",
    )


def found_stack(role: str, *, python: str, packages: int, in_place_of: str) -> Warn:
    """An interpreter of the host stood in for a pinned stack: nobody can make it again from a name."""
    return Warn(
        code=WarningCode.FOUND_STACK,
        message=f"the {role} stack is Python {python} of this host with {packages} packages, in the "
        f"place of {in_place_of}: nothing pins it",
        remedy="without STACK_PYTHON and REFERENCE_PYTHON the pinned stacks run",
    )


def chip_unconfirmed(vendor: str, doubt: str | None) -> Warn | None:
    """The device did not confirm the chip that the job is booked on (see ``driver.chips``)."""
    if doubt is None:
        return None
    return Warn(
        code=WarningCode.CHIP_UNCONFIRMED,
        message=doubt,
        remedy=f"name it with CHIP=…; `make list VENDOR={vendor}` shows those that vendor.toml has, "
        "with names under [chips] match",
    )


def arithmetic_differs(planned: str, effective: str | None) -> Warn | None:
    """Another arithmetic ran than the precision stands for; ``effective`` as the engine read it back."""
    if effective in {None, planned}:
        return None
    return Warn(
        code=WarningCode.EFFECTIVE_DIFFERS,
        message=f"{planned} was asked for, the engine ran {effective}: MFU is against that peak",
        remedy="compare it with figures of that arithmetic only; vendor.toml and the hook's README say "
        "which settings decide",
    )


def implausible_mfu(mfu: float | None, arithmetic: str, peak: float | None) -> Warn | None:
    """The chip did more than it can: an MFU above 100 %. ``peak`` in operations/s."""
    if mfu is None or peak is None or mfu <= MFU_MAX:
        return None
    return Warn(
        code=WarningCode.IMPLAUSIBLE,
        message=f"MFU is {mfu:.0f} % of the chip's {peak:.3g} {arithmetic} operations/s: one of them is "
        "wrong, and reports leave the result out",
        remedy="look at the peak's unit in vendor.toml (dense operations/s, 2 a MAC, one chip), at whether "
        "this is the chip (CHIP=…), at the arithmetic that ran, and at whether the hook's clock stops "
        "only when the outputs are there",
    )


def extra_privileges(
    vendor: str, capabilities: Sequence[str], writable: Sequence[str] = ()
) -> Warn | None:
    """The vendor's container gets more than the others: capabilities, or host paths to write to."""
    granted = [f"the capability {name}" for name in capabilities]
    granted += [f"write access to {path} of the host" for path in writable]
    if not granted:
        return None
    return Warn(
        code=WarningCode.EXTRA_PRIVILEGES,
        message=f"containers of {vendor} have {', '.join(granted)}",
        remedy="vendor.toml says why; drop them where a driver without them exists",
    )
