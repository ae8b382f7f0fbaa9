"""A part of a device is seen as one: MIG slices, virtual GPUs, MPS shares, virtual NPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.models.vendor import MonitorSpec
from driver.monitors.seen import Slice, absent_devices, boards_of, parse_slices, seen_devices
from tests.driver.miniature import write_executable

RECORDED = Path(__file__).parent / "recorded"
GPU = "GPU-00000000-0000-4000-8000-000000000001"
MIG = "MIG-00000000-0000-5000-8000-000000000002"


def nvidia_smi(program: Path) -> MonitorSpec:
    """Return a monitor whose command is a stand-in: its first word answers ``-L`` too."""
    return MonitorSpec(parser="nvidia-smi", command=(str(program), "--query-gpu=uuid"))


def board(folder: Path, name: str, *, mode: str = "[N/A]", listing: str = "") -> MonitorSpec:
    row = f"{GPU}, {name}, 535.161.08, 100, 40960, 97.10, 45, 47, 1410"
    script = f"""#!/bin/sh
case "$*" in
*mig.mode.current*) echo "{mode}";;
-L) printf '{listing}';;
*) echo "{row}";;
esac
"""
    return nvidia_smi(write_executable(folder / "nvidia-smi", script))


@pytest.mark.parametrize("device", ["0", GPU, MIG])
def test_a_mig_slice_is_not_the_whole_gpu(device: str) -> None:
    (found,) = seen_devices(nvidia_smi(RECORDED.parent / "tools" / "nvidia-smi-mig"), device, {})
    assert found.name == "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    assert (found.whole, found.part) == ("NVIDIA A100-SXM4-80GB", "MIG slice 1g.10gb")


def test_a_gpu_in_mig_mode_is_a_part_though_no_slice_is_listed(tmp_path: Path) -> None:
    (found,) = seen_devices(board(tmp_path, "NVIDIA A100-SXM4-40GB", mode="Enabled"), "0", {})
    assert (found.name, found.part) == ("NVIDIA A100-SXM4-40GB MIG", "MIG slice")


@pytest.mark.parametrize("mode", ["Disabled", "[N/A]", "[Not Supported]"])
def test_a_whole_gpu_is_whole(tmp_path: Path, mode: str) -> None:
    (found,) = seen_devices(board(tmp_path, "NVIDIA A100-SXM4-40GB", mode=mode), "0", {})
    assert (found.name, found.part) == ("NVIDIA A100-SXM4-40GB", "")


def test_older_drivers_list_slices_by_gpu_and_instance() -> None:
    listing = f"""GPU 0: Tesla T4 (UUID: GPU-aa)
GPU 1: A100-SXM4-40GB (UUID: {GPU})
  MIG 3g.20gb Device 0: (UUID: MIG-{GPU}/1/0)
  MIG 1g.5gb+me Device 1: (UUID: MIG-{GPU}/9/0)
"""
    first, second = parse_slices(listing)[GPU]
    assert first == Slice("3g.20gb", f"MIG-{GPU}/1/0")
    assert second.profile == "1g.5gb+me"
    assert list(parse_slices(listing)) == [GPU]


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("GRID A100-10C", "NVIDIA A100"),
        ("GRID T4-16Q", "NVIDIA T4"),
        ("NVIDIA A40-48C", "NVIDIA A40"),
        ("NVIDIA A100-1-5CME", "NVIDIA A100"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA A100-SXM4-40GB"),
    ],
)
def test_a_virtual_gpu_is_a_part(tmp_path: Path, name: str, whole: str) -> None:
    (found,) = seen_devices(board(tmp_path, name), "0", {})
    assert (found.name, found.whole, found.part) == (name, whole, "virtual GPU")


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA RTX A6000",
        "NVIDIA H200 NVL",
        "Tesla T4",
        "Tesla V100-SXM2-16GB",
        "GRID K520",
        "NVIDIA GH200 480GB",
    ],
)
def test_a_board_whose_name_looks_like_a_virtual_one_is_whole(tmp_path: Path, name: str) -> None:
    (found,) = seen_devices(board(tmp_path, name), "0", {})
    assert (found.name, found.part) == (name, "")


@pytest.mark.parametrize(
    ("share", "part"),
    [
        ("25", "MPS share of 25 %"),
        ("12.5", "MPS share of 12.5 %"),
        ("100", ""),
        ("", ""),
        ("x", ""),
    ],
)
def test_an_mps_share_is_a_part(tmp_path: Path, share: str, part: str) -> None:
    environ = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": share}
    (found,) = seen_devices(board(tmp_path, "Tesla T4"), "0", environ)
    assert found.part == part
    assert ("MPS" in found.name) is bool(part)


@pytest.mark.parametrize(
    ("recorded", "part"),
    [("npu-smi-23.0-310Pvir02.txt", "virtual NPU vir02"), ("npu-smi-22.0.2-310P3.txt", "")],
)
def test_a_virtual_npu_is_a_part(tmp_path: Path, recorded: str, part: str) -> None:
    smi = write_executable(tmp_path / "npu-smi", f"#!/bin/sh\ncat {RECORDED / recorded}\n")
    found = seen_devices(MonitorSpec(parser="npu-smi", command=(str(smi),)), "0")
    assert [device.part for device in found[:1]] == [part]


def test_a_hosts_device_is_its_processor() -> None:
    (found,) = seen_devices(MonitorSpec(parser="proc"), "0")
    assert "threads" in found.name


HOSTS = {
    "nvidia-smi": "nvidia-smi-535-header-units.csv",
    "npu-smi": "npu-smi-23.0.rc3-910B4.txt",
    "xpu_smi": "xpu_smi-m-P800.txt",
    "mx-smi": "mx-smi-2.1.6.txt",
}
"""Recorded output of a host with the devices 0 and 1, by parser."""


@pytest.mark.parametrize(("parser", "file"), HOSTS.items())
def test_a_device_that_does_not_exist_is_named_for_each_vendor(parser: str, file: str) -> None:
    spec = MonitorSpec(parser=parser, command=("cat", str(RECORDED / file)))
    assert absent_devices(spec, "7") == (["7"], ["0", "1"])
    assert absent_devices(spec, "0, 9") == (["9"], ["0", "1"])
    assert absent_devices(spec, "0,1")[0] == []


@pytest.mark.parametrize("command", [("false",), ("/no/such/program",), ("echo", "nonsense")])
def test_nothing_is_absent_where_the_monitor_cannot_tell(command: tuple[str, ...]) -> None:
    assert absent_devices(MonitorSpec(parser="npu-smi", command=command), "7") == ([], [])
    assert absent_devices(MonitorSpec(parser="none"), "7") == ([], [])
    assert absent_devices(MonitorSpec(parser="proc"), "7") == ([], [])


def test_a_mig_device_is_monitored_through_its_gpu() -> None:
    spec = nvidia_smi(RECORDED.parent / "tools" / "nvidia-smi-mig")
    assert absent_devices(spec, MIG)[0] == []
    assert boards_of(spec, MIG) == boards_of(spec, GPU) == GPU
    assert boards_of(spec, "0") == "0"
