"""What counts as computing in a compiled TorchScript: branches are entered, moving and sizes are not counted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT

pytestmark = pytest.mark.stack

PROBE = Path(__file__).parent / "probes" / "shares.py"


def test_operators_that_compute_are_told_from_those_that_move() -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    folder = ROOT / "vendor_hooks" / "nvidia"
    done = subprocess.run(
        [str(python), "-B", str(PROBE), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    scripted, traced = (json.loads(line) for line in done.stdout.splitlines())
    computing = {"aten::add": 1, "aten::linear": 1, "aten::softmax": 1}
    settings, listed = scripted
    assert settings == {"tensorrt_engines": 0, "left_to_pytorch": computing}
    assert listed == "1 aten::add, 1 aten::linear and 1 more"
    assert traced[0]["left_to_pytorch"].items() >= computing.items()
