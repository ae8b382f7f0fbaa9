"""torch_npu's stand-in: the device, the switches of its cube unit, and what they do to fp32."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.standins_tests.conftest import STANDINS
from tests.vendor_hooks.reference.stack import forked, reference_stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack

CODE = """
import json, os
import torch, torch_npu
# What transformers imports where torch_npu is.
from torch_npu import npu_fusion_attention

def tried(call):
    try:
        call()
    except (RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[-1]

said = {
    "mark": torch.npu.__assay_standin__, "name": torch.npu.get_device_name(),
    "hf32": [torch.npu.matmul.allow_hf32, torch.npu.conv.allow_hf32],
    "jit": not torch.npu.is_jit_compile_false(), "bf16": torch.npu.is_bf16_supported(),
    "not a bool": tried(lambda: setattr(torch.npu.conv, "allow_hf32", 0)),
    "device 7": tried(lambda: torch.npu.set_device(7)),
}
torch.npu.set_device("npu:0")
torch.manual_seed(0)
conv = torch.nn.Conv2d(3, 4, 3).eval()
batch = torch.randn(2, 3, 8, 8)
with torch.inference_mode():
    exact = conv(batch)
    moved = conv.to("npu")
    def off():
        return float((moved(batch.to("npu")) - exact).abs().max())
    said["by default"] = off()
    torch.npu.conv.allow_hf32 = False
    said["switched off"] = off()
said["bf16 module"] = tried(lambda: torch.nn.Linear(8, 4).to(torch.bfloat16).to("npu"))
stream, event = torch.npu.Stream(), torch.npu.Event(enable_timing=True, blocking=True)
with torch.npu.stream(stream):
    event.record(stream)
event.synchronize()
said["synchronized"] = torch.npu.standin_synchronizations
free, total = torch.npu.mem_get_info()
said["memory"] = [total >> 20, total - free > 0]
print(json.dumps(said))
"""


def run(folder: Path, chip: str) -> dict[str, Any]:
    python, reason = reference_stack()
    if python is None:
        pytest.skip(reason)
    script = folder / "script.py"
    script.write_text(CODE, encoding="utf-8")
    path = [str(STANDINS / "core"), str(STANDINS / "ascend" / "python")]
    done = forked(python, script, "", path=path, ASSAY_STANDIN_CHIP=chip)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_910b_has_fp32_products_once_hf32_is_off(tmp_path: Path) -> None:
    said = run(tmp_path, "910B4")
    assert (said["mark"], said["name"], said["bf16"], said["jit"]) == (
        True,
        "Ascend910B4",
        True,
        False,
    )
    assert said["hf32"] == [False, True]
    assert said["switched off"] == 0 < said["by default"] < 1e-2
    assert said["bf16 module"] is None
    assert "must be a bool" in said["not a bool"] or "invalid type" in said["not a bool"]
    assert "valid device range is [0, 1)" in said["device 7"]
    assert said["synchronized"] == 1
    assert said["memory"] == [32768, True]


def test_a_310p_multiplies_fp16_whatever_is_switched(tmp_path: Path) -> None:
    said = run(tmp_path, "310P3")
    assert (said["name"], said["bf16"], said["jit"]) == ("Ascend310P3", False, True)
    assert 1e-6 < said["switched off"] < 1e-2
    assert "DT_BFLOAT16" in said["bf16 module"]
