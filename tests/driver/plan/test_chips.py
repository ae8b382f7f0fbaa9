"""A job is attributed to the chip that the device reports; its peaks decide the MFU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.catalog.found_python import FoundPython
from driver.catalog.found_stack import with_found
from driver.catalog.vendor import Vendor
from driver.errors import UsageFault
from driver.models.base import RunnerName
from driver.monitors.seen import seen_devices
from driver.plan.chips import SeenDevice, choose_chip, identities
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.results.concerns import marks_of
from driver.session.telemetry import devices_here
from tests.driver.session.test_monitor import RECORDED, lab_with_monitor
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from driver.models.result import Result

ROOT = Path(__file__).resolve().parents[3]
TWO = """
[chips.Two]
title = "Two"
match = ["310P3"]
peaks = { tf32 = 4e9 }
"""


def seen(*names: str) -> tuple[SeenDevice, ...]:
    return tuple(SeenDevice(name=name) for name in names)


@pytest.fixture(scope="module")
def nvidia() -> Vendor:
    return load_catalog(ROOT).vendors["nvidia"]


@pytest.mark.parametrize(
    ("device_name", "chip", "fp16"),
    [
        ("NVIDIA H200", "H200", 989.4e12),
        ("Tesla T4", "T4", 65e12),
        ("nvidia a100-sxm4-40gb", "A100", 312e12),
        ("NVIDIA B200", "B200", 2250e12),
        ("NVIDIA L40S", "L40S", 362.05e12),
        ("NVIDIA L4", "L4", 121e12),
    ],
)
def test_without_chip_the_devices_name_decides(
    nvidia: Vendor, device_name: str, chip: str, fp16: float
) -> None:
    found = choose_chip(nvidia, None, seen(device_name))
    assert (found.name, found.caveat) == (chip, None)
    assert found.spec.peaks["fp16"] == fp16


@pytest.mark.parametrize("device_name", ["NVIDIA H200 NVL", "NVIDIA H100 PCIe", "NVIDIA L40"])
def test_an_unlisted_device_has_its_own_name_and_no_peaks(nvidia: Vendor, device_name: str) -> None:
    found = choose_chip(nvidia, None, seen(device_name))
    assert found.name == device_name
    assert found.spec.peaks == {}
    assert found.caveat is not None
    assert device_name in found.caveat


def test_a_chip_that_the_device_contradicts_is_refused(nvidia: Vendor) -> None:
    with pytest.raises(UsageFault, match=r"device, which is H200 .*'NVIDIA H200'") as e:
        choose_chip(nvidia, "A100", seen("NVIDIA H200"))
    assert "CHIP=H200" in e.value.remedy


def test_chip_applies_to_an_unlisted_device(nvidia: Vendor) -> None:
    found = choose_chip(nvidia, "A100", seen("NVIDIA A100-PCIE-40GB"))
    assert found.spec.peaks["fp16"] == 312e12
    assert found.caveat is not None
    assert "NVIDIA A100-PCIE-40GB" in found.caveat


def test_an_undetected_chip_has_no_peaks(nvidia: Vendor) -> None:
    found = choose_chip(nvidia, None, seen())
    assert (found.name, found.spec.peaks, found.spec.published_peaks) == ("A100", {}, {})
    assert found.caveat is not None
    assert choose_chip(nvidia, "A100", seen()).caveat is None


def test_devices_of_two_chips_are_refused(nvidia: Vendor) -> None:
    with pytest.raises(UsageFault, match="different chips: NVIDIA H200, Tesla T4"):
        choose_chip(nvidia, None, seen("NVIDIA H200", "Tesla T4"))


@pytest.mark.parametrize(
    ("given", "device", "stack", "chip"),
    [
        # The stack follows the chip, asked for or seen …
        ({"engine": "cann"}, "310P3", "cann5.1.rc2", "310P"),
        ({"engine": "cann"}, "910B3", "cann9.1-910b", "910B3"),
        ({"engine": "cann", "chip": "910B4"}, "", "cann9.1-910b", "910B4"),
        ({"engine": "eager"}, "310P3", "cann9.1-310p", "310P"),
        # … and where neither tells it, the chip that is assumed follows the stack.
        ({"stack": "cann9.1-910b"}, "", "cann9.1-910b", "910B1"),
        ({"engine": "eager", "precision": "fp16"}, "", "cann9.1-310p", "310P"),
        # A device that vendor.toml does not list runs in any.
        ({"engine": "cann"}, "910C", "cann5.1.rc2", "910C"),
    ],
)
def test_chip_and_stack_fit(given: dict[str, str], device: str, stack: str, chip: str) -> None:
    request = Request(case="vit_l_16", vendor="ascend", **given)
    devices = {"ascend": seen(device)} if device else {}
    choice = choose(request, load_catalog(ROOT), devices)
    assert (choice.stack.name, choice.chip_name) == (stack, chip)


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        (
            {"vendor": "ascend", "stack": "cann5.1.rc1", "chip": "910B1"},
            "stack 'cann5.1.rc1' of ascend does not support 910B1",
            "use STACK=cann9.1-910b, or another CHIP",
        ),
        (
            {"vendor": "ascend", "engine": "benchmark", "chip": "910B1"},
            "stack 'cann5.1.rc1' of ascend does not support 910B1",
            "choose another ENGINE, or another CHIP",
        ),
        (
            {"vendor": "nvidia", "stack": "cuda12.1-trt8.6", "chip": "B200"},
            "stack 'cuda12.1-trt8.6' of nvidia does not support B200",
            "use STACK=cuda13-trt10.16, or another CHIP",
        ),
    ],
)
def test_a_stack_that_does_not_support_the_chip_is_refused(
    given: dict[str, str], message: str, remedy: str
) -> None:
    with pytest.raises(UsageFault) as caught:
        choose(Request(case="vit_l_16", **given), load_catalog(ROOT))
    assert (caught.value.message, caught.value.remedy) == (message, remedy)


def test_a_python_of_the_host_may_support_every_chip() -> None:
    python = FoundPython(
        python=Path("/opt/venv/bin/python3"), version="3.12.3", packages={}, digest="1" * 64
    )
    catalog = with_found(load_catalog(ROOT), stack=python, reference=None)
    choice = choose(
        Request(case="vit_l_16", vendor="ascend", chip="910B1", runner="process"), catalog
    )
    assert choice.stack.name == "found-11111111"


@pytest.mark.parametrize("vendor", ["cpu", "intel"])
@pytest.mark.parametrize("asked", [None, "host"])
def test_a_hosts_chip_is_its_processor(vendor: str, asked: str | None) -> None:
    vendors = load_catalog(ROOT).vendors
    found = choose_chip(vendors[vendor], asked, seen("AMD EPYC 9B14, 64 of 64 threads, 64 GiB"))
    assert found.name == "AMD EPYC 9B14, 64 of 64 threads, 64 GiB"
    assert (found.caveat, found.part) == (None, "")


def test_the_processor_of_a_clusters_node_is_not_known() -> None:
    found = choose_chip(load_catalog(ROOT).vendors["cpu"], None, ())
    assert found.name == "host"
    assert found.caveat is not None


MIG = SeenDevice(
    name="NVIDIA A100-SXM4-80GB MIG 1g.10gb",
    whole="NVIDIA A100-SXM4-80GB",
    part="MIG slice 1g.10gb",
)


def test_a_part_of_a_device_is_a_chip_of_its_own_without_peaks(nvidia: Vendor) -> None:
    found = choose_chip(nvidia, None, (MIG,))
    assert found.name == "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    assert (found.spec.peaks, found.spec.published_peaks) == ({}, {})
    assert found.part == "MIG slice 1g.10gb of NVIDIA A100-SXM4-80GB"


def test_a_part_that_is_asked_for_as_the_whole_is_refused(nvidia: Vendor) -> None:
    with pytest.raises(UsageFault, match="only a part: 'NVIDIA A100") as e:
        choose_chip(nvidia, "A100", (MIG,))
    assert "leave CHIP out" in e.value.remedy


def test_a_part_has_what_its_chip_has(nvidia: Vendor) -> None:
    """A slice of a T4 has no TF32 either, and a virtual NPU is compiled for as its chip is."""
    grid = SeenDevice(name="GRID T4-16Q", whole="NVIDIA T4", part="virtual GPU")
    assert "tf32" in choose_chip(nvidia, None, (grid,)).spec.lacks
    ascend = load_catalog(ROOT).vendors["ascend"]
    virtual = SeenDevice(name="310Pvir02", whole="310P", part="virtual NPU vir02")
    found = choose_chip(ascend, None, (virtual,))
    assert found.spec.options["soc_version"] == "Ascend310P3"
    assert found.spec.peaks == {}


@pytest.mark.parametrize(("memory_gib", "whole"), [(39.6, True), (31.0, True), (20.0, False)])
def test_a_device_with_a_part_of_its_chips_memory_is_a_part(
    nvidia: Vendor, memory_gib: float, *, whole: bool
) -> None:
    device = SeenDevice(name="NVIDIA A100-SXM4-40GB", memory_bytes=int(memory_gib * 2**30))
    found = choose_chip(nvidia, None, (device,))
    assert (found.part == "") is whole
    assert bool(found.spec.peaks) is whole


def test_a_part_of_a_processor_has_no_peaks() -> None:
    part = SeenDevice(name="AMD EPYC, 2 of 64 threads", whole="AMD EPYC", part="2 of 64 threads")
    found = choose_chip(load_catalog(ROOT).vendors["cpu"], None, (part,))
    assert (found.name, found.part) == (part.name, "2 of 64 threads of AMD EPYC")


@pytest.mark.parametrize(
    ("vendor", "selected", "uuids", "found"),
    [
        ("nvidia", "0", ("GPU-1",), ("GPU-1",)),
        ("nvidia", "GPU-1", ("GPU-1",), ("GPU-1",)),
        ("nvidia", "0,1", ("GPU-1", "GPU-2"), ("GPU-1", "GPU-2")),
        ("nvidia", "MIG-7", ("MIG-7",), ("MIG-7",)),
        ("ascend", "0, 3", ("", ""), ("ascend-0", "ascend-3")),
        ("ascend", "2", (), ("ascend-2",)),
        ("cpu", "0", ("",), ("processor",)),
        ("intel", "1", (), ("processor",)),
    ],
)
def test_a_device_has_one_identity_however_it_is_selected(
    vendor: str, selected: str, uuids: tuple[str, ...], found: tuple[str, ...]
) -> None:
    devices = tuple(SeenDevice(name="One", uuid=uuid) for uuid in uuids)
    assert identities(load_catalog(ROOT).vendors[vendor], selected, devices) == found


def test_an_arithmetic_that_the_chip_lacks_is_refused() -> None:
    """A T4 would compute in fp32 and report TF32."""
    request = Request(case="vit", vendor="nvidia", engine="trtexec", precision="tf32")
    names = {"nvidia": seen("Tesla T4")}
    with pytest.raises(UsageFault, match="T4 has no tf32: Turing computes fp32") as caught:
        choose(request, load_catalog(ROOT), names)
    assert caught.value.remedy == (
        "choose another PRECISION than tf32, or another CHIP (A100, H100, H200, B200, L40S, L4)"
    )
    assert choose(request, load_catalog(ROOT), {"nvidia": seen("NVIDIA H200")}).chip_name == "H200"


@pytest.mark.parametrize(("name", "chip"), [("NVIDIA A100-SXM4-40GB", "A100"), ("Tesla T4", "T4")])
def test_fp8_needs_a_chip_newer_than_ampere(name: str, chip: str) -> None:
    request = Request(case="vit_digits", vendor="nvidia", precision="fp8")
    with pytest.raises(UsageFault, match=f"{chip} has no fp8"):
        choose(request, load_catalog(ROOT), {"nvidia": seen(name)})
    chosen = choose(request, load_catalog(ROOT), {"nvidia": seen("NVIDIA L40S")})
    assert (chosen.chip_name, chosen.stack.name) == ("L40S", "cuda13-trt10.16")


def lab_of_two_chips(root: Path, script: str) -> Lab:
    lab = lab_with_monitor(root, script)
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8") + TWO, encoding="utf-8")
    return lab


def warned(result: Result, code: str) -> list[str]:
    return [found.message for found in result.warnings if found.code == code]


def test_a_run_is_attributed_to_the_chip_that_the_monitor_names(tmp_path: Path) -> None:
    lab = lab_of_two_chips(tmp_path, f"cat {RECORDED / 'npu-smi-22.0.2-310P3.txt'}")
    result = lab.run().result
    assert result.job.chip == "Two"
    assert warned(result, "chip_unconfirmed") == []
    core = result.metrics.p_infer_core
    assert core is not None
    # 1000 MACs an item, 4e9 operations a second.
    assert result.metrics.mfu == pytest.approx(100 * 2 * 1000 * core / 4e9)


def test_a_run_without_a_monitor_warns_that_the_chip_is_assumed(tmp_path: Path) -> None:
    result = lab_of_two_chips(tmp_path, "exit 1").run().result
    assert result.job.chip == "One"
    assert result.metrics.mfu is None
    assert result.metrics.mfu_published_convention is None
    assert "One is assumed" in warned(result, "chip_unconfirmed")[0]


def test_a_run_on_a_mig_slice_is_not_the_gpus(tmp_path: Path) -> None:
    lab = lab_with_monitor(
        tmp_path, f'exec {RECORDED.parent / "tools" / "nvidia-smi-mig"} "$@"', parser="nvidia-smi"
    )
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    listed = 'title = "One"\nmatch = ["NVIDIA A100-SXM4-80GB"]'
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('title = "One"', listed))
    lab.behave(infer="takes-a-second")
    result = lab.run().result
    assert result.job.chip == "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    metrics = result.metrics
    assert metrics.p_infer_core is not None
    assert (metrics.mfu, metrics.mfu_published_convention) == (None, None)
    # The monitor's power and memory are the whole board's.
    assert (metrics.energy_j, metrics.mem_gib, metrics.mem_total_gib) == (None, None, None)
    (said,) = warned(result, "part_of_device")
    assert "MIG slice 1g.10gb of NVIDIA A100-SXM4-80GB" in said


def test_only_the_selected_devices_count(tmp_path: Path) -> None:
    lab = lab_with_monitor(tmp_path, f"cat {RECORDED / 'mx-smi-2.1.6.txt'}", parser="mx-smi")
    monitor = load_catalog_vendor(lab).manifest.monitor
    assert [device.name for device in seen_devices(monitor, "1")] == ["MXC500"]
    assert seen_devices(monitor, "9") == ()


def test_a_clusters_device_is_not_on_this_host(tmp_path: Path) -> None:
    lab = lab_of_two_chips(tmp_path, f"cat {RECORDED / 'npu-smi-22.0.2-310P3.txt'}")
    vendors = {"acme": load_catalog_vendor(lab)}
    request = lab.request.model_copy(update={"runner": RunnerName.SLURM})
    assert devices_here(vendors, [request]) == {}
    (found,) = devices_here(vendors, [lab.request])["acme"]
    assert found.name == "310P3"


def load_catalog_vendor(lab: Lab) -> Vendor:
    return load_catalog(lab.root).vendors["acme"]


def test_mfu_uses_the_peak_of_the_arithmetic_that_ran(tmp_path: Path) -> None:
    """The miniature's fp32 is TF32 (1e9/s); its hook reads back that fp16 (2e9/s) ran."""
    lab = Lab(tmp_path)
    lab.behave(infer="runs-fp16")
    result = lab.run().result
    core = result.metrics.p_infer_core
    assert core is not None
    assert result.metrics.mfu == pytest.approx(100 * 2 * 1000 * core / 2e9)
    assert "tf32 was requested, but the engine ran fp16" in warned(result, "effective_differs")[0]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("states-no-arithmetic", "the engine reports none"),
        ("echoes-its-arithmetic", "the tool states nothing of what it built"),
    ],
)
def test_an_arithmetic_that_nobody_read_back_is_a_warning_and_a_mark(
    tmp_path: Path, behaviour: str, why: str
) -> None:
    lab = Lab(tmp_path)
    lab.behave(infer=behaviour)
    result = lab.run().result
    (message,) = warned(result, "arithmetic_unread")
    assert f"was not read back: {why}; tf32 is only what was requested" in message
    marks = marks_of(result)
    assert "arithmetic not read back" in marks.texts
    assert {"p_infer_core", "p_infer_whole", "mfu"} <= set(marks.figures)
    assert not marks.again, "the same job would say the same again"


def test_an_arithmetic_that_was_read_back_needs_no_mark(tmp_path: Path) -> None:
    assert warned(Lab(tmp_path).run().result, "arithmetic_unread") == []


def test_a_job_without_a_core_loop_has_no_arithmetic_to_read_back(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.behave(infer="fails")
    assert warned(lab.run().result, "arithmetic_unread") == []


def test_a_hooks_warning_about_the_chip_hides_no_other_arithmetic(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.behave(infer="assumes-its-chip")
    chip, arithmetic = sorted(warned(lab.run().result, "effective_differs"), reverse=True)
    assert "the device is Acme2" in chip
    assert "but the engine ran fp16" in arithmetic
