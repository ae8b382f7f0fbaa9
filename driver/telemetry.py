"""What the vendor's monitor saw while a job ran: kept in the result, and figures of the measured window."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from driver import warnings as warn
from driver.models.base import StageName
from driver.monitors.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.base import Warn
    from driver.models.manifest import MonitorSpec
    from driver.models.report import Measurement
    from driver.monitors.window import Window

WATCHED = frozenset({StageName.COMPILE, StageName.VALIDATE, StageName.INFER})


class Telemetry:
    """The monitors of a job's stages on the vendor's device; one that fails never ends the run."""

    def __init__(self, spec: MonitorSpec, device: str) -> None:
        self._spec = spec
        self._device = device
        self._samplers: dict[tuple[StageName, int], Sampler] = {}

    @contextmanager
    def watching(self, stage: StageName, repeat: int) -> Iterator[None]:
        """Sample while a stage of the vendor's runs."""
        if stage not in WATCHED or self._spec.parser == "none":
            yield
            return
        # The kernel's files tell of the host as a whole, they number no devices.
        device = None if self._spec.parser == "proc" else self._device
        with Sampler(self._spec, device) as sampler:
            self._samplers[stage, repeat] = sampler
            yield

    @property
    def simulated(self) -> bool:
        """Whether a monitor was a test's stand-in."""
        return any(sampler.simulated for sampler in self._samplers.values())

    def window(self, loop: Measurement, repeat: int = 0) -> Window | None:
        """Return what was seen during exactly one loop of infer, None where nothing was."""
        sampler = self._samplers.get((StageName.INFER, repeat))
        if sampler is None or loop.started_ns is None:
            return None
        return sampler.window(loop.started_ns, loop.started_ns + loop.wall_ns)

    def stage_peak_bytes(self, stage: StageName) -> int | None:
        """Return the largest memory use that was seen during a stage."""
        used = [
            sum(reading.memory_used_bytes or 0 for reading in sample.readings)
            for (name, _), sampler in self._samplers.items()
            if name is stage
            for sample in sampler.samples
        ]
        return max(used, default=None)

    def total_bytes(self) -> int | None:
        """Return the memory of the selected devices together."""
        totals = [
            sum(reading.memory_total_bytes or 0 for reading in sample.readings)
            for sampler in self._samplers.values()
            for sample in sampler.samples
        ]
        return max(totals, default=None) or None

    def warnings(self) -> tuple[Warn, ...]:
        """Return what failed, and whether the clock fell while measuring."""
        found = [sampler.warning() for sampler in self._samplers.values()]
        for (stage, _), sampler in self._samplers.items():
            if stage is StageName.INFER and sampler.samples:
                first, last = sampler.samples[0].at_ns, sampler.samples[-1].at_ns
                found.append(warn.throttled(sampler.clocks_mhz(first, last)))
        return warn.collected(found)

    def document(self) -> dict[str, Any] | None:
        """Return what the result keeps of it, None where no monitor was asked."""
        if not self._samplers:
            return None
        return {
            f"{stage}-{repeat}": sampler.report(_first_ns(sampler))
            for (stage, repeat), sampler in self._samplers.items()
        }


def _first_ns(sampler: Sampler) -> int:
    return sampler.samples[0].at_ns if sampler.samples else 0
