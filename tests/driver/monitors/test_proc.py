"""The kernel's files, in a test's own folder and on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from driver.monitors import proc
from driver.monitors.proc import ProcSource
from driver.monitors.reading import MonitorFormatError

STAT = "cpu  {user} 0 100 {idle} 50 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/stat", STAT.format(user=100, idle=750))
    write(tmp_path, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    write(
        tmp_path, "proc/cpuinfo", "model name\t: Xeon\ncpu MHz\t\t: 2000.0\ncpu MHz\t\t: 3000.0\n"
    )
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_memory_is_what_a_new_process_could_not_have(root: Path) -> None:
    (reading,) = ProcSource(root).read()
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (600 * 1024, 1000 * 1024)
    assert reading.name == "Xeon"
    assert reading.clock_mhz == 2500.0


def test_utilisation_is_since_the_last_reading(root: Path) -> None:
    source = ProcSource(root)
    assert source.read()[0].utilisation_percent is None
    write(root, "proc/stat", STAT.format(user=175, idle=775))
    assert source.read()[0].utilisation_percent == 75.0


def test_cpufreq_goes_before_cpuinfo(root: Path) -> None:
    write(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "3400000\n")
    assert ProcSource(root).read()[0].clock_mhz == 3400.0


def test_temperature_comes_from_the_package_zone(root: Path) -> None:
    write(root, "sys/class/thermal/thermal_zone0/type", "acpitz\n")
    write(root, "sys/class/thermal/thermal_zone0/temp", "27800\n")
    write(root, "sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n")
    write(root, "sys/class/thermal/thermal_zone1/temp", "61000\n")
    assert ProcSource(root).read()[0].temperature_c == 61.0


def test_energy_counts_packages_once_and_survives_a_wrap(root: Path) -> None:
    package = "sys/class/powercap/intel-rapl:0"
    write(root, f"{package}/name", "package-0\n")
    write(root, f"{package}/energy_uj", "900000000")
    write(root, f"{package}/max_energy_range_uj", "1000000000")
    write(root, "sys/class/powercap/intel-rapl:0:0/name", "core\n")
    write(root, "sys/class/powercap/intel-rapl:0:0/energy_uj", "5")
    source = ProcSource(root)
    first = source.read()[0]
    assert (first.power_w, first.energy_j) == (None, 0.0)
    write(root, f"{package}/energy_uj", "50000000")
    time.sleep(0.01)
    second = source.read()[0]
    assert second.energy_j == pytest.approx(150.0)
    assert second.power_w is not None
    assert 0 < second.power_w < 150.0 / 0.01


def test_energy_is_that_of_the_packages_and_not_of_the_platform_around_them(root: Path) -> None:
    zones = {"0": "package-0", "1": "package-1-die-0", "2": "psys"}
    for number, name in zones.items():
        write(root, f"sys/class/powercap/intel-rapl:{number}/name", f"{name}\n")
        write(root, f"sys/class/powercap/intel-rapl:{number}/energy_uj", "0")
    source = ProcSource(root)
    source.read()
    for number, joules in {"0": 10, "1": 20, "2": 55}.items():
        write(root, f"sys/class/powercap/intel-rapl:{number}/energy_uj", f"{joules * 1_000_000}")
    assert source.read()[0].energy_j == pytest.approx(30.0)


def test_unreadable_counters_leave_power_unknown(root: Path) -> None:
    reading = ProcSource(root).read()[0]
    assert (reading.power_w, reading.energy_j, reading.temperature_c) == (None, None, None)


@pytest.mark.parametrize("text", ["", "MemTotal: many kB\n", "MemTotal: 5 kB\n"])
def test_malformed_meminfo_is_refused(text: str) -> None:
    with pytest.raises(MonitorFormatError, match="MemAvailable"):
        proc.memory(text)


@pytest.mark.parametrize("text", ["", "intr 1 2 3 4 5 6\n", "cpu a b c d e f\n"])
def test_malformed_stat_is_refused(text: str) -> None:
    with pytest.raises(MonitorFormatError, match="/proc/stat"):
        proc.busy_and_all(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MonitorFormatError, match="meminfo"):
        ProcSource(tmp_path).read()


def test_this_machine_has_memory() -> None:
    (reading,) = ProcSource().read()
    assert reading.memory_total_bytes is not None
    assert reading.memory_used_bytes is not None
    assert 0 < reading.memory_used_bytes < reading.memory_total_bytes
