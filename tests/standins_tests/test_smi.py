"""The vendors' smi stand-ins print what the driver's monitors read, and misbehave on request."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from driver.monitors import amd_smi
from driver.monitors.reading import MIB, MonitorFormatError
from driver.monitors.sources import COMMANDS, PARSERS, STAND_IN_MARK
from tests.standins_tests.conftest import STANDINS

if TYPE_CHECKING:
    from tests.standins_tests.conftest import Run

VENDORS = {
    "nvidia-smi": "nvidia",
    "npu-smi": "ascend",
    "xpu_smi": "kunlunxin",
    "mx-smi": "metax",
    "ixsmi": "iluvatar",
}
TOOLS = [
    ("nvidia-smi", "A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB", 40960),
    ("nvidia-smi", "T4", "Tesla T4", 15360),
    ("npu-smi", "310P3", "310P3", 21534),
    ("npu-smi", "310", "310", 8192),
    ("npu-smi", "910B4", "910B4", 32768),
    ("xpu_smi", "R200", "R200", 32768),
    ("mx-smi", "C500", "MetaX C500", 65536),
    ("ixsmi", "MR-V100", "Iluvatar MR-V100", 32768),
    ("ixsmi", "BI-V150", "Iluvatar BI-V150", 32768),
]


@pytest.mark.parametrize(("tool", "chip", "name", "memory_mib"), TOOLS)
def test_output_is_what_the_monitor_reads(
    program: Run, tool: str, chip: str, name: str, memory_mib: int
) -> None:
    done = program(VENDORS[tool], tool, *COMMANDS[tool][1:], ASSAY_STANDIN_CHIP=chip)
    assert done.returncode == 0
    readings = PARSERS[tool](done.stdout)
    assert len(readings) == (4 if chip == "310" else 1)
    first = readings[0]
    assert (first.device, first.name) == ("0", name)
    assert first.memory_total_bytes == memory_mib * MIB
    assert first.memory_used_bytes is not None
    assert 0 < first.memory_used_bytes < first.memory_total_bytes
    assert first.power_w is not None
    assert first.temperature_c is not None
    assert first.utilisation_percent == 0


@pytest.mark.parametrize(("tool", "chip"), [(tool, chip) for tool, chip, *_ in TOOLS])
def test_it_is_as_busy_as_it_is_told_to_be(program: Run, tool: str, chip: str) -> None:
    environment = {"ASSAY_STANDIN_CHIP": chip, "ASSAY_STANDIN_USE": "64"}
    done = program(VENDORS[tool], tool, *COMMANDS[tool][1:], **environment)
    assert PARSERS[tool](done.stdout)[0].utilisation_percent == 64


def test_mx_smi_of_maca_3_prints_boards(program: Run) -> None:
    done = program("metax", "mx-smi", ASSAY_STANDIN_MACA="3.8.1.2")
    assert "Board       Name | GPU   Persist-M" in done.stdout
    (reading,) = PARSERS["mx-smi"](done.stdout)
    assert (reading.name, reading.driver_version) == ("MetaX C500", "3.8.30")


def test_nvidia_smi_prints_headers_and_units_where_they_are_not_switched_off(program: Run) -> None:
    command = COMMANDS["nvidia-smi"][1]
    done = program("nvidia", "nvidia-smi", command, "--format=csv")
    assert "memory.used [MiB]" in done.stdout
    assert " W," in done.stdout
    assert PARSERS["nvidia-smi"](done.stdout)[0].power_w == 391.52


def test_xpu_smi_prints_a_table_for_people(program: Run) -> None:
    done = program("kunlunxin", "xpu_smi")
    assert PARSERS["xpu_smi"](done.stdout)[0].name == "R200"


@pytest.mark.parametrize(
    ("tool", "arguments", "returncode"),
    [
        ("nvidia-smi", ["--query-gpu=flavour", "--format=csv"], 2),
        ("nvidia-smi", ["--frobnicate"], 2),
        ("npu-smi", ["frobnicate"], 1),
        ("npu-smi", ["info", "--frobnicate"], 1),
        ("xpu_smi", ["--frobnicate"], 1),
        ("mx-smi", ["--frobnicate"], 1),
        ("ixsmi", ["--query-gpu=power.draw", "--format=csv"], 2),
        ("ixsmi", ["--frobnicate"], 2),
    ],
)
def test_unknown_argument_is_refused(
    program: Run, tool: str, arguments: list[str], returncode: int
) -> None:
    assert program(VENDORS[tool], tool, *arguments).returncode == returncode


@pytest.mark.parametrize("tool", sorted(VENDORS))
def test_told_to_garble_it_prints_what_no_version_prints(program: Run, tool: str) -> None:
    done = program(VENDORS[tool], tool, *COMMANDS[tool][1:], ASSAY_STANDIN_FAULT="monitor:garble")
    assert done.returncode == 0
    with pytest.raises(MonitorFormatError):
        PARSERS[tool](done.stdout)


@pytest.mark.parametrize(("chip", "memory_mib"), [("MI300X", 196592), ("MI325X", 262128)])
def test_amd_smi_prints_the_documents_that_the_monitor_reads(
    program: Run, chip: str, memory_mib: int
) -> None:
    def said(*words: str, use: str = "0") -> str:
        settings = {"ASSAY_STANDIN_CHIP": chip, "ASSAY_STANDIN_USE": use}
        done = program("amd", "amd-smi", *words, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    known = amd_smi.identities(said(*amd_smi.LIST), said(*amd_smi.STATIC))
    (only,) = amd_smi.parse(said(*amd_smi.METRIC, use="64"), known)
    assert (only.device, only.name) == ("0", f"AMD Instinct {chip}")
    assert (only.memory_total_bytes, only.utilisation_percent) == (memory_mib * MIB, 64.0)
    assert only.uuid == "GPU-000000000000a55a"


@pytest.mark.parametrize("words", [["frobnicate", "--json"], ["metric", "--frobnicate"], []])
def test_amd_smi_refuses_what_it_does_not_know(program: Run, words: list[str]) -> None:
    assert program("amd", "amd-smi", *words).returncode == 1


def test_told_to_hang_it_hangs() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, str(STANDINS / "metax" / "bin" / "mx-smi")],
            env={"ASSAY_STANDIN_FAULT": "monitor:hang"},
            capture_output=True,
            timeout=1.5,
            check=False,
        )


@pytest.mark.parametrize("tool", sorted(VENDORS))
def test_host_needs_no_numpy_for_a_monitor(tool: str) -> None:
    arguments = [sys.executable, "-I", "-S", str(STANDINS / VENDORS[tool] / "bin" / tool)]
    done = subprocess.run(
        [*arguments, *COMMANDS[tool][1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("vendor", sorted(["amd", *VENDORS.values()]))
def test_programs_lie_beside_the_mark(vendor: str) -> None:
    folder = STANDINS / vendor / "bin"
    assert (folder / STAND_IN_MARK).is_file()
    for path in folder.iterdir():
        if path.name != STAND_IN_MARK:
            assert path.stat().st_mode & 0o111, path
