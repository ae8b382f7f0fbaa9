"""What the vendor's monitor recorded during a job: samples for the result, figures per window."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from driver.models.base import RunnerName, StageName
from driver.monitors.reading import MonitorFormatError
from driver.monitors.sampler import Sampler
from driver.monitors.seen import boards_of, seen_devices
from driver.monitors.sources import MonitorError, command_of, is_stand_in, make_source
from driver.monitors.window import totals
from driver.results import warnings as warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from driver.catalog.vendor import Vendor
    from driver.models.base import Warn
    from driver.models.report import Measurement
    from driver.models.vendor import MonitorSpec
    from driver.monitors.reading import Reading
    from driver.monitors.window import Window
    from driver.plan.chips import SeenDevice
    from driver.plan.request import Request

SHARING_INTERVAL_S = 0.25
BUSY_PERCENT = 20.0
"""A device busier than this while none of our stages runs is shared with another process."""

WATCHED = frozenset({StageName.COMPILE, StageName.VALIDATE, StageName.INFER})


def devices_here(
    vendors: Mapping[str, Vendor], requests: Sequence[Request]
) -> dict[str, tuple[SeenDevice, ...]]:
    """Return, by vendor's label, the devices that the requests use on this host, as its monitor names them."""
    asked = {
        (one.label, request.device): one.manifest.monitor
        for request in requests
        # A cluster's devices are on its nodes, not on this host.
        if request.vendor in vendors
        and request.runner is not RunnerName.SLURM
        and request.host is None
        for one in [
            vendors[request.vendor].for_request(request.stack, request.engine, request.chip)
        ]
    }
    return {label: seen_devices(monitor, device) for (label, device), monitor in asked.items()}


class Telemetry:
    """Monitors the vendor's device during a job's stages. A failing monitor never ends the run."""

    def __init__(
        self,
        spec: MonitorSpec,
        device: str,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        in_slice: bool = False,
    ) -> None:
        """``waiting`` wraps every wait for the monitor, to keep it out of the job's time.

        ``in_slice``: the device is a MIG slice, whose GPU is watched in its place.
        """
        self._spec = spec
        self._device = boards_of(spec, device) if in_slice else device
        self._in_slice = in_slice
        self._waiting = waiting
        self._silent = False
        self._samplers: dict[tuple[StageName, int], Sampler] = {}
        self._others: list[Warn | None] = []

    def check_sharing(self, when: str) -> None:
        """Record whether the device is busy while none of our stages runs.

        ``when`` is "before" or "after". Takes two readings, since the kernel gives processor
        utilisation only as a difference. Errors are ignored, as ``watching`` records them; a monitor
        that gave up is not called.
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
        # A GPU's other slices are not this one: their use says nothing of it.
        if source is None or self._gave_up or self._in_slice:
            return ()
        try:
            source.read()
            time.sleep(SHARING_INTERVAL_S)
            return source.read()
        except (MonitorError, MonitorFormatError, OSError):
            self._silent = True
            return ()

    @property
    def _gave_up(self) -> bool:
        return self._silent or any(sampler.gave_up for sampler in self._samplers.values())

    @contextmanager
    def watching(self, stage: StageName, repeat: int) -> Iterator[None]:
        """Sample while a vendor stage runs."""
        if stage not in WATCHED or self._spec.parser == "none":
            yield
            return
        # The kernel's files describe the host as a whole and number no devices.
        device = None if self._spec.parser == "proc" else self._device
        sampler = self._samplers[stage, repeat] = Sampler(
            self._spec, device, in_slice=self._in_slice
        )
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
        """Return the monitor's figures over exactly one infer loop, None without samples."""
        sampler = self._samplers.get((StageName.INFER, repeat))
        if sampler is None or loop.started_ns is None:
            return None
        return sampler.window(loop.started_ns, loop.started_ns + loop.wall_ns)

    def stage_peak_bytes(self, stage: StageName) -> int | None:
        """Return the peak memory use during a stage, in bytes."""
        samplers = [sampler for (name, _), sampler in self._samplers.items() if name is stage]
        return _largest(samplers, lambda reading: reading.memory_used_bytes)

    def total_bytes(self) -> int | None:
        """Return the total memory of the selected devices, in bytes."""
        return _largest(list(self._samplers.values()), lambda reading: reading.memory_total_bytes)

    def warnings(self, cores: Mapping[int, Measurement] | None = None) -> tuple[Warn, ...]:
        """Return warnings: failed monitors, and clock drops in ``cores``, core loops by repeat."""
        found = [*self._others, *(sampler.warning() for sampler in self._samplers.values())]
        for repeat, core in (cores or {}).items():
            sampler = self._samplers.get((StageName.INFER, repeat))
            if sampler is not None and core.started_ns is not None:
                end_ns = core.started_ns + core.wall_ns
                found.append(warn.throttled(sampler.clocks_mhz(core.started_ns, end_ns)))
        return warn.collected(found)

    def document(self) -> dict[str, Any] | None:
        """Return the samples for the result, None where no monitor ran."""
        if not self._samplers:
            return None
        return {
            f"{stage}-{repeat}": sampler.report(_first_ns(sampler))
            for (stage, repeat), sampler in self._samplers.items()
        }


def _largest(samplers: Sequence[Sampler], figure: Callable[[Reading], int | None]) -> int | None:
    """Return the largest sum over the devices, from samples where every device has the figure."""
    samples = [sample for sampler in samplers for sample in sampler.samples]
    return max((round(value) for _, value in totals(samples, figure)), default=None)


def _first_ns(sampler: Sampler) -> int:
    return sampler.samples[0].at_ns if sampler.samples else 0
