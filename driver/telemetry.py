"""What the vendor's monitor saw while a job ran: kept in the result, and figures of the measured window."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from driver import warnings as warn
from driver.models.base import RunnerName, StageName
from driver.monitors.reading import MonitorFormatError
from driver.monitors.sampler import Sampler
from driver.monitors.sources import MonitorError, command_of, is_stand_in, make_source
from driver.monitors.window import totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from driver.catalog import Vendor
    from driver.models.base import Warn
    from driver.models.manifest import MonitorSpec
    from driver.models.report import Measurement
    from driver.monitors.reading import Reading
    from driver.monitors.window import Window
    from driver.request import Request

LOOK_S = 0.25
BUSY_PERCENT = 20.0
"""A device that is this busy before or after our stages is shared with somebody."""

WATCHED = frozenset({StageName.COMPILE, StageName.VALIDATE, StageName.INFER})


def names_here(
    vendors: Mapping[str, Vendor], requests: Sequence[Request]
) -> dict[str, tuple[str, ...]]:
    """Return by vendor what its monitor calls the devices of the requests that run on this host."""
    asked = {
        request.vendor: request.device
        for request in requests
        # A cluster's devices are on its nodes, this host has none or others.
        if request.vendor in vendors and request.runner is not RunnerName.SLURM
    }
    return {
        name: device_names(vendors[name].manifest.monitor, device) for name, device in asked.items()
    }


def device_names(spec: MonitorSpec, device: str) -> tuple[str, ...]:
    """Return what the monitor calls the selected devices; empty where it tells nothing of them.

    A monitor that fails here fails in ``Telemetry.watching`` too, which says so in the result.
    """
    # The kernel's files tell of the host, which vendor.toml lists no names of.
    source = None if spec.parser == "proc" else make_source(spec)
    if source is None:
        return ()
    try:
        readings = source.read()
    except (MonitorError, MonitorFormatError, OSError):
        return ()
    wanted = set(device.split(","))
    chosen = [reading for reading in readings if {reading.device, reading.uuid} & wanted]
    return tuple(dict.fromkeys(reading.name for reading in chosen if reading.name))


class Telemetry:
    """The monitors of a job's stages on the vendor's device; one that fails never ends the run."""

    def __init__(
        self,
        spec: MonitorSpec,
        device: str,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``waiting`` surrounds every wait for the monitor: no part of what the job took."""
        self._spec = spec
        self._device = device
        self._waiting = waiting
        self._silent = False
        self._samplers: dict[tuple[StageName, int], Sampler] = {}
        self._others: list[Warn | None] = []

    def look_for_others(self, when: str) -> None:
        """Ask the monitor once while none of our stages runs: whoever is on the device is not us.

        Two readings, since the kernel tells a processor's use as a difference. A monitor that fails
        here fails in ``watching`` too, which says so; one that gave up is not asked.
        """
        with self._waiting():
            readings = self._two_readings()
        wanted = set(self._device.split(",")) if self._spec.parser != "proc" else None
        self._others.append(
            warn.device_shared(
                when,
                [
                    f"{reading.name or reading.device} at {reading.utilisation_percent:.0f} %"
                    for reading in readings
                    if (wanted is None or {reading.device, reading.uuid} & wanted)
                    and (reading.utilisation_percent or 0.0) > BUSY_PERCENT
                ],
            )
        )

    def _two_readings(self) -> tuple[Reading, ...]:
        source = make_source(self._spec)
        if source is None or self._gave_up:
            return ()
        try:
            source.read()
            time.sleep(LOOK_S)
            return source.read()
        except (MonitorError, MonitorFormatError, OSError):
            self._silent = True
            return ()

    @property
    def _gave_up(self) -> bool:
        return self._silent or any(sampler.gave_up for sampler in self._samplers.values())

    @contextmanager
    def watching(self, stage: StageName, repeat: int) -> Iterator[None]:
        """Sample while a stage of the vendor's runs."""
        if stage not in WATCHED or self._spec.parser == "none":
            yield
            return
        # The kernel's files tell of the host as a whole, they number no devices.
        device = None if self._spec.parser == "proc" else self._device
        sampler = self._samplers[stage, repeat] = Sampler(self._spec, device)
        sampler.start()
        try:
            yield
        finally:
            with self._waiting():
                sampler.stop()

    @property
    def simulated(self) -> bool:
        """Whether the monitor is a test's stand-in."""
        return is_stand_in(command_of(self._spec))

    def window(self, loop: Measurement, repeat: int = 0) -> Window | None:
        """Return what was seen during exactly one loop of infer, None where nothing was."""
        sampler = self._samplers.get((StageName.INFER, repeat))
        if sampler is None or loop.started_ns is None:
            return None
        return sampler.window(loop.started_ns, loop.started_ns + loop.wall_ns)

    def stage_peak_bytes(self, stage: StageName) -> int | None:
        """Return the largest memory use that was seen during a stage."""
        samplers = [sampler for (name, _), sampler in self._samplers.items() if name is stage]
        return _largest(samplers, lambda reading: reading.memory_used_bytes)

    def total_bytes(self) -> int | None:
        """Return the memory of the selected devices together."""
        return _largest(list(self._samplers.values()), lambda reading: reading.memory_total_bytes)

    def warnings(self, cores: Mapping[int, Measurement] | None = None) -> tuple[Warn, ...]:
        """Return what failed, and whether the clock fell in ``cores``, infer's core loops by repeat."""
        found = [*self._others, *(sampler.warning() for sampler in self._samplers.values())]
        for repeat, core in (cores or {}).items():
            sampler = self._samplers.get((StageName.INFER, repeat))
            if sampler is not None and core.started_ns is not None:
                end_ns = core.started_ns + core.wall_ns
                found.append(warn.throttled(sampler.clocks_mhz(core.started_ns, end_ns)))
        return warn.collected(found)

    def document(self) -> dict[str, Any] | None:
        """Return what the result keeps of it, None where no monitor was asked."""
        if not self._samplers:
            return None
        return {
            f"{stage}-{repeat}": sampler.report(_first_ns(sampler))
            for (stage, repeat), sampler in self._samplers.items()
        }


def _largest(samplers: Sequence[Sampler], figure: Callable[[Reading], int | None]) -> int | None:
    """Return the largest sum over the devices, of the samples in which each of them tells the figure."""
    samples = [sample for sampler in samplers for sample in sampler.samples]
    return max((round(value) for _, value in totals(samples, figure)), default=None)


def _first_ns(sampler: Sampler) -> int:
    return sampler.samples[0].at_ns if sampler.samples else 0
