"""Monitors the host's processors through the kernel's files, without a command.

Memory from ``/proc/meminfo``, utilisation from ``/proc/stat``, clock from cpufreq or
``/proc/cpuinfo``, temperature from the thermal zones, energy from RAPL's counters if readable (by
root only, on most kernels since 5.10).
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from driver.monitors.reading import MonitorFormatError, Reading

_KIB = 1024
_PACKAGE_ZONES = (
    "x86_pkg_temp",
    "cpu-thermal",
    "cpu_thermal",
    "soc-thermal",
    "k10temp",
    "coretemp",
)


class ProcSource:
    """Reads the files below ``root``; utilisation and power are averages since the last reading."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._busy: tuple[float, float] | None = None
        self._joules: dict[str, float] = {}
        self._energy_j = 0.0
        self._at_ns = 0

    def read(self) -> tuple[Reading, ...]:
        """Return the host as one device, "0"."""
        used, total = memory(_text(self._root / "proc/meminfo"))
        power, energy = self._energy()
        return (
            Reading(
                device="0",
                name=cpu_name(_text(self._root / "proc/cpuinfo")),
                memory_used_bytes=used,
                memory_total_bytes=total,
                power_w=power,
                temperature_c=self._temperature(),
                utilisation_percent=self._utilisation(),
                clock_mhz=self._clock(),
                energy_j=energy,
            ),
        )

    def _utilisation(self) -> float | None:
        before, self._busy = self._busy, busy_and_all(_text(self._root / "proc/stat"))
        if before is None or self._busy[1] <= before[1]:
            return None
        return 100.0 * (self._busy[0] - before[0]) / (self._busy[1] - before[1])

    def _clock(self) -> float | None:
        pattern = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"
        kilohertz = [value for path in self._root.glob(pattern) if (value := _integer(path))]
        if kilohertz:
            return sum(kilohertz) / len(kilohertz) / 1e3
        return clock_mhz(_text(self._root / "proc/cpuinfo"))

    def _temperature(self) -> float | None:
        for zone in sorted(self._root.glob("sys/class/thermal/thermal_zone*")):
            if _text(zone / "type", required=False).strip() in _PACKAGE_ZONES:
                millidegrees = _integer(zone / "temp")
                return None if millidegrees is None else millidegrees / 1e3
        return None

    def _energy(self) -> tuple[float | None, float | None]:
        """Return (mean W since the last reading, J since the first); None if not readable."""
        now_ns, before_ns = time.monotonic_ns(), self._at_ns
        counters, grown, ranges = self._counters()
        if not counters:
            return None, None
        first = not self._joules
        for zone, value in counters.items():
            step = value - self._joules.get(zone, value)
            grown += step if step >= 0 else step + ranges[zone]
        self._joules, self._at_ns = counters, now_ns
        self._energy_j += grown
        if first or now_ns <= before_ns:
            return None, self._energy_j
        return grown * 1e9 / (now_ns - before_ns), self._energy_j

    def _counters(self) -> tuple[dict[str, float], float, dict[str, float]]:
        """Read the packages only: they include the cores, and the platform (psys) includes them."""
        counters: dict[str, float] = {}
        ranges: dict[str, float] = {}
        for zone in self._root.glob("sys/class/powercap/intel-rapl:*"):
            package = _text(zone / "name", required=False).startswith("package-")
            value = _integer(zone / "energy_uj") if package else None
            if value is not None:
                counters[zone.name] = value / 1e6
                ranges[zone.name] = (_integer(zone / "max_energy_range_uj") or 0) / 1e6
        return counters, 0.0, ranges


def memory(meminfo: str) -> tuple[int, int]:
    """Return (used, total) bytes; used is what a new process could not have."""
    rows = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    try:
        total = int(rows["MemTotal"].split()[0]) * _KIB
        return total - int(rows["MemAvailable"].split()[0]) * _KIB, total
    except (KeyError, ValueError, IndexError):
        raise MonitorFormatError("/proc/meminfo has no MemTotal and MemAvailable in kB") from None


def busy_and_all(stat: str) -> tuple[float, float]:
    """Return (busy, total) jiffies of all processors since boot; I/O wait is not busy."""
    words = stat.split("\n", 1)[0].split()
    if len(words) < 6 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:]):
        raise MonitorFormatError(f"/proc/stat does not begin with a cpu line: {stat[:80]!r}")
    # The last two (guest, guest_nice) are already counted in user and nice.
    jiffies = [float(word) for word in words[1:9]]
    whole = sum(jiffies)
    return whole - jiffies[3] - jiffies[4], whole


def clock_mhz(cpuinfo: str) -> float | None:
    """Return the mean of the "cpu MHz" lines; None without any (Arm)."""
    lines = [line for line in cpuinfo.splitlines() if line.startswith("cpu MHz")]
    values = [float(line.split(":")[1]) for line in lines]
    return sum(values) / len(values) if values else None


def cpu_name(cpuinfo: str) -> str:
    """Return the first "model name"; empty without one."""
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return ""


def _text(path: Path, *, required: bool = True) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        if required:
            raise MonitorFormatError(f"cannot read {path}: {error.strerror}") from None
        return ""


def _integer(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return None
