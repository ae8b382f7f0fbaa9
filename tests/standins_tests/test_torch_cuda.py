"""The torch.cuda patch, in the cpu stack's own Python: calls map to the CPU, and are counted."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.harness.interpreters import cpu_stack
from tests.standins_tests.conftest import STANDINS

CODE = """
import json
import {patch}
import torch
said = {{"mark": torch.cuda.__assay_standin__, "name": torch.cuda.get_device_name(0)}}
said["available"] = torch.cuda.is_available()
said["version"] = [torch.version.cuda, getattr(torch.version, "maca", None)]
module = torch.nn.Linear(8, 4).eval().to("cuda")
host = torch.ones(2, 8, pin_memory=True)
start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
with torch.cuda.stream(torch.cuda.Stream()), torch.inference_mode():
    start.record()
    moved = host.to("cuda", non_blocking=True)
    out = torch.empty(2, 4, device="cuda")
    out.copy_(module(moved))
    stop.record()
torch.cuda.synchronize()
stop.synchronize()
said["same"] = bool(torch.equal(out, module(host)))
said["aliased"] = moved.data_ptr() == host.data_ptr()
said["elapsed"] = start.elapsed_time(stop) >= 0
said["synchronizations"] = torch.cuda.standin_synchronizations
said["peak"] = torch.cuda.max_memory_allocated()
print(json.dumps(said))
"""


@pytest.mark.stack
@pytest.mark.parametrize(
    ("vendor", "patch", "name", "maca"),
    [
        ("nvidia", "assay_standin_torch_cuda", "NVIDIA A100-SXM4-40GB", None),
        ("metax", "assay_standin_maca", "MetaX C500", "2.19.2.5"),
    ],
)
def test_calls_of_a_hook_run_on_the_cpu(
    vendor: str, patch: str, name: str, maca: str | None
) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    path = f"{STANDINS / 'core'}:{STANDINS / vendor / 'python'}"
    done = subprocess.run(
        [str(python), "-B", "-c", CODE.format(patch=patch)],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said == {
        "mark": True,
        "name": name,
        "available": True,
        "version": ["12.1", maca],
        "same": True,
        "aliased": False,
        "elapsed": True,
        "synchronizations": 2,
        "peak": (8 * 4 + 4) * 4,
    }
