"""Samples a monitor at intervals while a job runs. Failures are recorded and never affect the job."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from driver.models.base import Warn, WarningCode
from driver.monitors.reading import remarks_of
from driver.monitors.sources import (
    AmdSmiSource,
    CommandSource,
    MonitorError,
    MonitorFormatError,
    command_of,
    is_stand_in,
    make_source,
)
from driver.monitors.window import Sample, Window, summarise

if TYPE_CHECKING:
    from types import TracebackType

    from driver.models.vendor import MonitorSpec
    from driver.monitors.reading import Reading
    from driver.monitors.sources import Source

# A monitor that fails this often in a row is not called again: hung processes would pile up.
GIVE_UP_AFTER = 3
# The wait for a stage's last sample is twice what the monitor has needed so far; this long if it
# has not answered yet.
FIRST_ANSWER_S = 1.0
LONGEST_TIMES = 2.0


@dataclass(frozen=True)
class MonitorFailure:
    """The first failure of a kind, and how often that kind occurred."""

    kind: str
    message: str
    times: int


class Sampler:
    """A thread that samples a vendor's monitor every ``interval_s``.

    ``device`` is an index, a uuid, or several separated by commas; None means every device. Times
    are ``time.monotonic_ns``, which a container shares with its host. ``in_slice``: only a slice of the
    device is used, so the whole device's memory, power and utilisation are left out.
    """

    def __init__(
        self,
        spec: MonitorSpec,
        device: str | None = "0",
        *,
        source: Source | None = None,
        in_slice: bool = False,
    ) -> None:
        self._spec = spec
        self._device = device
        self._in_slice = in_slice
        self._source = source or make_source(spec)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._samples: list[Sample] = []
        self._failures: dict[str, MonitorFailure] = {}
        self._remarks: dict[str, None] = {}
        self._in_a_row = 0
        self._longest_s = 0.0
        self._lasting = self._hangs = self._killed = False

    def start(self) -> None:
        """Start sampling, if there is a monitor."""
        if self._source is not None:
            self._thread.start()

    def stop(self) -> None:
        """Take a last sample if one is due, and stop; a hung monitor is killed."""
        self._stop.set()
        if not self._thread.is_alive():
            return
        self._thread.join(self._patience_s())
        if self._thread.is_alive() and isinstance(self._source, CommandSource | AmdSmiSource):
            self._killed = True
            self._source.stop()
            self._thread.join(FIRST_ANSWER_S)

    @property
    def gave_up(self) -> bool:
        """Whether the monitor is no longer called: it failed for good, or had to be killed."""
        return self._killed or self._lasting or self._in_a_row >= GIVE_UP_AFTER

    def _patience_s(self) -> float:
        if self._hangs:
            return 0.0
        # The sample in progress, and the last one.
        known_s = LONGEST_TIMES * 2 * self._longest_s + self._spec.interval_s
        return min(known_s if self._samples else FIRST_ANSWER_S, self._spec.timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples so far, in time order."""
        return tuple(self._samples)

    @property
    def failures(self) -> tuple[MonitorFailure, ...]:
        """The failures, one per kind."""
        return tuple(self._failures.values())

    @property
    def simulated(self) -> bool:
        """Whether the monitor is a test stand-in."""
        return is_stand_in(command_of(self._spec))

    def window(self, start_ns: int, end_ns: int) -> Window:
        """Return the figures between two times of ``time.monotonic_ns``."""
        return summarise(self._samples, start_ns, end_ns, self._spec.interval_s)

    def clocks_mhz(self, start_ns: int, end_ns: int) -> tuple[float, ...]:
        """Return the clock in each sample of a window, in time order."""
        inside = (s for s in self.samples if start_ns <= s.at_ns <= end_ns and s.readings)
        return tuple(s.readings[0].clock_mhz for s in inside if s.readings[0].clock_mhz is not None)

    def warning(self) -> Warn | None:
        """Return the result's warning where the monitor failed; the run went on without it."""
        if not self._failures and not self._remarks:
            return None
        command = " ".join(command_of(self._spec) or ("/proc",))
        return Warn(
            code=WarningCode.MONITOR_FAILED,
            message="; ".join(self._complaints()),
            remedy=f"run `{command}` by hand; fix the driver, or [monitor] in vendor.toml",
        )

    def _complaints(self) -> list[str]:
        failures = [f"{f.message} (×{f.times})" for f in self._failures.values()]
        missing = [f"the monitor reported nothing, or not always: {'; '.join(failures)}"]
        remarks = [f"the monitor reported figures, and: {'; '.join(self._remarks)}"]
        return [*(missing if failures else []), *(remarks if self._remarks else [])]

    def report(self, start_ns: int = 0) -> dict[str, Any]:
        """Return the samples (in seconds since ``start_ns``) and failures for a result."""
        return {
            "parser": self._spec.parser,
            "command": list(command_of(self._spec)),
            "interval_s": self._spec.interval_s,
            "device": self._device,
            "simulated": self.simulated,
            "samples": [_row(sample, start_ns) for sample in self._samples],
            "failures": [vars(failure) for failure in self._failures.values()],
            "remarks": list(self._remarks),
        }

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            last = self._stop.is_set()
            if not self._ask() or last or self._killed:
                return
            if self._stop.is_set() and self._hangs:
                return
            # A slow monitor skips turns instead of running back to back.
            due = max(due + self._spec.interval_s, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _ask(self) -> bool:
        """Take one sample; return whether to call the monitor again."""
        assert self._source is not None
        before_ns = time.monotonic_ns()
        try:
            answer = self._source.read()
            self._remarks.update(dict.fromkeys(remarks_of(answer)))
            readings = self._select(answer)
        except MonitorError as error:
            if self._killed:
                command = " ".join(command_of(self._spec))
                return self._failed("hung", f"{command} did not answer before the stage ended")
            self._lasting, self._hangs = error.lasting, error.kind == "hung"
            return self._failed(error.kind, str(error)) and not error.lasting
        except MonitorFormatError as error:
            return self._failed("format", str(error))
        except Exception as error:  # a monitor's failure must never end a run
            return self._failed("fault", f"{type(error).__name__}: {error}")
        after_ns = time.monotonic_ns()
        self._longest_s = max(self._longest_s, (after_ns - before_ns) / 1e9)
        at_ns = (before_ns + after_ns) // 2
        self._samples.append(Sample(at_ns=at_ns, readings=readings))
        self._in_a_row = 0
        self._hangs = False
        return True

    def _select(self, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
        if self._device is None:
            return readings
        wanted = set(self._device.split(","))
        chosen = tuple(r for r in readings if {r.device, r.uuid} & wanted)
        if len(chosen) != len(wanted):
            there = ", ".join(reading.device for reading in readings)
            raise MonitorFormatError(f"it does not list device {self._device}, only {there}")
        return tuple(map(_of_slice, chosen)) if self._in_slice else chosen

    def _failed(self, kind: str, message: str) -> bool:
        known = self._failures.get(kind)
        times = known.times + 1 if known else 1
        self._failures[kind] = MonitorFailure(kind, known.message if known else message, times)
        self._in_a_row += 1
        return self._in_a_row < GIVE_UP_AFTER


def _of_slice(reading: Reading) -> Reading:
    """Return what a device's reading says of a slice of it: temperature and clock, which they share."""
    return replace(
        reading,
        memory_used_bytes=None,
        memory_total_bytes=None,
        power_w=None,
        utilisation_percent=None,
        energy_j=None,
    )


def _row(sample: Sample, start_ns: int) -> dict[str, Any]:
    figures = (
        "memory_used_bytes",
        "memory_total_bytes",
        "power_w",
        "temperature_c",
        "utilisation_percent",
        "clock_mhz",
        "energy_j",
    )
    devices = [
        {"device": reading.device, "name": reading.name}
        | {name: getattr(reading, name) for name in figures if getattr(reading, name) is not None}
        for reading in sample.readings
    ]
    return {"t_s": round((sample.at_ns - start_ns) / 1e9, 6), "devices": devices}
