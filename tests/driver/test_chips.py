"""A job is booked on the chip that the device says it is: its peaks decide the MFU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.catalog import Vendor, load_catalog
from driver.chips import choose_chip
from driver.errors import UsageFault
from driver.models.base import RunnerName
from driver.plan import choose
from driver.request import Request
from driver.telemetry import device_names, names_here
from tests.driver.test_monitor_of_a_run import RECORDED, lab_with_monitor
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from driver.models.result import Result

ROOT = Path(__file__).resolve().parents[2]
TWO = """
[chips.Two]
title = "Two"
match = ["310P3"]
peaks = { tf32 = 4e9 }
"""


@pytest.fixture(scope="module")
def nvidia() -> Vendor:
    return load_catalog(ROOT).vendors["nvidia"]


@pytest.mark.parametrize(
    ("device_name", "chip", "fp16"),
    [
        ("NVIDIA H200", "H200", 989.4e12),
        ("Tesla T4", "T4", 65e12),
        ("nvidia a100-sxm4-40gb", "A100", 312e12),
    ],
)
def test_without_a_chip_asked_for_it_is_the_one_that_the_device_names(
    nvidia: Vendor, device_name: str, chip: str, fp16: float
) -> None:
    found = choose_chip(nvidia, None, (device_name,))
    assert (found.name, found.doubt) == (chip, None)
    assert found.spec.peaks["fp16"] == fp16


@pytest.mark.parametrize("device_name", ["NVIDIA H200 NVL", "NVIDIA H100 PCIe", "NVIDIA L40S"])
def test_a_device_that_is_not_listed_has_its_own_name_and_no_peaks(
    nvidia: Vendor, device_name: str
) -> None:
    found = choose_chip(nvidia, None, (device_name,))
    assert found.name == device_name
    assert found.spec.peaks == {}
    assert found.doubt is not None
    assert device_name in found.doubt


def test_a_chip_that_the_device_contradicts_is_refused(nvidia: Vendor) -> None:
    with pytest.raises(UsageFault, match="the device is H200: it calls itself 'NVIDIA H200'") as e:
        choose_chip(nvidia, "A100", ("NVIDIA H200",))
    assert "CHIP=H200" in e.value.remedy


def test_a_chip_that_was_named_counts_for_a_device_that_is_not_listed(nvidia: Vendor) -> None:
    found = choose_chip(nvidia, "A100", ("NVIDIA A100-PCIE-40GB",))
    assert found.spec.peaks["fp16"] == 312e12
    assert found.doubt is not None
    assert "NVIDIA A100-PCIE-40GB" in found.doubt


def test_a_chip_that_nothing_told_has_no_peaks(nvidia: Vendor) -> None:
    found = choose_chip(nvidia, None, ())
    assert (found.name, found.spec.peaks, found.spec.published_peaks) == ("A100", {}, {})
    assert found.doubt is not None
    assert choose_chip(nvidia, "A100", ()).doubt is None


def test_devices_of_two_chips_are_refused(nvidia: Vendor) -> None:
    with pytest.raises(UsageFault, match="different chips: NVIDIA H200, Tesla T4"):
        choose_chip(nvidia, None, ("NVIDIA H200", "Tesla T4"))


def test_a_vendor_of_one_chip_without_names_needs_no_monitor() -> None:
    found = choose_chip(load_catalog(ROOT).vendors["cpu"], None, ("AMD EPYC",))
    assert (found.name, found.doubt) == ("host", None)


def test_an_arithmetic_that_the_chip_has_not_is_refused() -> None:
    """A T4 would compute fp32 and call it TF32."""
    request = Request(case="vit", vendor="nvidia", engine="trtexec", precision="tf32")
    names = {"nvidia": ("Tesla T4",)}
    with pytest.raises(UsageFault, match="T4 has no tf32: Turing computes fp32"):
        choose(request, load_catalog(ROOT), names)
    assert choose(request, load_catalog(ROOT), {"nvidia": ("NVIDIA H200",)}).chip_name == "H200"


def lab_of_two_chips(root: Path, script: str) -> Lab:
    lab = lab_with_monitor(root, script)
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8") + TWO, encoding="utf-8")
    return lab


def warned(result: Result, code: str) -> list[str]:
    return [found.message for found in result.warnings if found.code == code]


def test_a_run_is_booked_on_the_chip_that_the_monitor_names(tmp_path: Path) -> None:
    lab = lab_of_two_chips(tmp_path, f"cat {RECORDED / 'npu-smi-22.0.2-310P3.txt'}")
    result = lab.run().result
    assert result.job.chip == "Two"
    assert warned(result, "chip_unconfirmed") == []
    core = result.metrics.p_infer_core
    assert core is not None
    # 1000 MACs an item, 4e9 operations a second.
    assert result.metrics.mfu == pytest.approx(100 * 2 * 1000 * core / 4e9)


def test_a_run_without_a_monitor_says_that_the_chip_was_assumed(tmp_path: Path) -> None:
    result = lab_of_two_chips(tmp_path, "exit 1").run().result
    assert result.job.chip == "One"
    assert result.metrics.mfu is None
    assert result.metrics.mfu_published_convention is None
    assert "One was assumed" in warned(result, "chip_unconfirmed")[0]


def test_only_the_devices_that_were_asked_for_count(tmp_path: Path) -> None:
    lab = lab_with_monitor(tmp_path, f"cat {RECORDED / 'mx-smi-2.1.6.txt'}", parser="mx-smi")
    monitor = load_catalog_vendor(lab).manifest.monitor
    assert device_names(monitor, "1") == ("MXC500",)
    assert device_names(monitor, "9") == ()


def test_a_clusters_device_is_not_this_hosts(tmp_path: Path) -> None:
    lab = lab_of_two_chips(tmp_path, f"cat {RECORDED / 'npu-smi-22.0.2-310P3.txt'}")
    vendors = {"acme": load_catalog_vendor(lab)}
    request = lab.request.model_copy(update={"runner": RunnerName.SLURM})
    assert names_here(vendors, [request]) == {}
    assert names_here(vendors, [lab.request]) == {"acme": ("310P3",)}


def load_catalog_vendor(lab: Lab) -> Vendor:
    return load_catalog(lab.root).vendors["acme"]


def test_mfu_is_held_against_the_arithmetic_that_ran(tmp_path: Path) -> None:
    """The miniature's fp32 is TF32 (1e9/s); its hook reads back that fp16 (2e9/s) ran."""
    lab = Lab(tmp_path)
    lab.behave(infer="runs-fp16")
    result = lab.run().result
    core = result.metrics.p_infer_core
    assert core is not None
    assert result.metrics.mfu == pytest.approx(100 * 2 * 1000 * core / 2e9)
    assert "tf32 was asked for, the engine ran fp16" in warned(result, "effective_differs")[0]
