"""amd-smi's three documents in the layouts of ROCm 6 and 7, and the source that asks for them.

The documents are put together from public outputs: names, keys and units are theirs, serial numbers are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driver.models.vendor import MonitorSpec
from driver.monitors.amd_smi import identities, parse
from driver.monitors.reading import MIB, MonitorFormatError, Reading
from driver.monitors.sources import AmdSmiSource, MonitorError, make_source

RECORDED = Path(__file__).parent / "recorded_amd_smi"


def read(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


LIST = read("list-e-rocm7-MI300X.json")
STATIC = read("static-rocm7-MI300X.json")
METRIC = read("metric-rocm7-MI300X.json")


def changed(text: str, change: Any) -> str:
    document = json.loads(text)
    change(document["gpu_data"] if isinstance(document, dict) else document)
    return json.dumps(document)


def test_a_device_has_hips_number_not_amd_smis() -> None:
    busy, idle = parse(METRIC, identities(LIST, STATIC))
    assert busy == Reading(
        device="0",
        name="AMD Instinct MI300X",
        uuid="GPU-de8287300da37c72",
        driver_version="6.18.3",
        memory_used_bytes=121344 * MIB,
        memory_total_bytes=196592 * MIB,
        power_w=542.0,
        temperature_c=71.0,
        utilisation_percent=87.0,
        clock_mhz=2108.0,
        energy_j=9714803.4,
    )
    assert (idle.device, idle.utilisation_percent) == ("1", 0.0)


def test_the_older_layout_is_read_behind_its_warning() -> None:
    known = identities(None, read("static-rocm6-Radeon.txt"))
    (only,) = parse(read("metric-rocm6-Radeon.txt"), known)
    assert (only.device, only.name) == ("0", "AMD Radeon AI PRO R9700")
    assert (only.power_w, only.temperature_c, only.clock_mhz) == (214.0, 54.0, 2774.0)
    # It has no counter, and says 0 all the time.
    assert only.energy_j is None


def test_several_gpus_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(MonitorFormatError, match="amd-smi list -e"):
        identities(None, STATIC)
    unknown = changed(LIST, lambda gpus: gpus[1].update(hip_id="N/A"))
    with pytest.raises(MonitorFormatError, match="amd-smi list -e"):
        identities(unknown, STATIC)


def test_a_partition_is_no_whole_chip() -> None:
    static = changed(
        STATIC, lambda gpus: [gpu["bus"].update(bdf=f"0000:83:00.{gpu['gpu']}") for gpu in gpus]
    )
    names = {one.name for one in identities(LIST, static).values()}
    assert names == {"AMD Instinct MI300X partition"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda gpus: gpus[0]["power"].update(socket_power="high"), "socket_power is 'high'"),
        (lambda gpus: gpus[0]["mem_usage"]["used_vram"].update(unit="pages"), "in 'pages'"),
        (lambda gpus: gpus[0].update(gpu=7), "reports GPU 7, which amd-smi static does not"),
        (lambda gpus: gpus[0].update(gpu="first"), "numbers a GPU 'first'"),
        (lambda gpus: gpus.clear(), "printed no GPU"),
    ],
)
def test_what_no_release_prints_is_named(change: Any, message: str) -> None:
    with pytest.raises(MonitorFormatError, match=message):
        parse(changed(METRIC, change), identities(LIST, STATIC))


@pytest.mark.parametrize("text", ["", "amdsmi: not found", '{"gpu_data": 3}', "[1]"])
def test_no_list_of_gpus_is_named(text: str) -> None:
    with pytest.raises(MonitorFormatError, match="amd-smi printed no"):
        parse(text, {})


def tool(folder: Path, script: str) -> AmdSmiSource:
    path = folder / "amd-smi"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n', encoding="utf-8")
    path.chmod(0o755)
    found = make_source(MonitorSpec(parser="amd-smi", command=(str(path),)))
    assert isinstance(found, AmdSmiSource)
    return found


def test_names_are_asked_for_once_and_figures_every_time(tmp_path: Path) -> None:
    source = tool(tmp_path, f"cat {RECORDED}/$1*-rocm7-MI300X.json")
    assert source.read() == source.read()
    calls = (tmp_path / "calls").read_text(encoding="utf-8").split("\n")
    assert [call.partition(" ")[0] for call in calls[:-1]] == ["list", "static", "metric", "metric"]


def test_a_release_without_the_list_has_a_single_gpu_all_the_same(tmp_path: Path) -> None:
    script = f'[ "$1" != list ] || exit 1\ncat {RECORDED}/$1-rocm6-Radeon.txt'
    assert [one.device for one in tool(tmp_path, script).read()] == ["0"]


def test_a_command_that_fails_is_no_reading(tmp_path: Path) -> None:
    source = tool(tmp_path, 'echo "no amdgpu driver" >&2; exit 2')
    with pytest.raises(MonitorError, match=r"amd-smi exited with 2: 'no amdgpu driver'"):
        source.read()
    missing = make_source(MonitorSpec(parser="amd-smi", command=("/nonexistent/amd-smi",)))
    assert missing is not None
    with pytest.raises(MonitorError, match="missing or not executable"):
        missing.read()
