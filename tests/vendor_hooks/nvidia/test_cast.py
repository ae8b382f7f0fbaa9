"""What TensorRT 11 is given instead of a flag: the graph in fp16 or bf16, always the same, with fp32 ends."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.job_folder import ROOT
from tests.vendor_hooks.reference.stack import reference_stack

pytestmark = pytest.mark.stack

PROBE = Path(__file__).parent / "probes" / "cast_graph.py"
FLOAT, INT64, FLOAT16, BFLOAT16 = 1, 7, 10, 16


def cast(folder: Path, seed: str, precision: str) -> Any:
    """Cast the probe's graph in a Python with this seed of its hashes."""
    python, reason = reference_stack()
    if python is None:
        pytest.skip(reason)
    folder.mkdir()
    done = subprocess.run(
        [str(python), "-B", str(PROBE), str(ROOT / "vendor_hooks"), str(folder), precision],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_graph_is_cast_but_for_its_ends_and_for_what_would_overflow(tmp_path: Path) -> None:
    found = cast(tmp_path / "job", "1", "fp16")
    assert found["ports"] == [FLOAT, FLOAT]
    assert found["weights"]["weights"] == FLOAT16
    # Squares of 300 are no fp16 numbers: without exceptions the outputs would be zero or NaN. The sine of 761.3
    # would be that of 761.5.
    assert found["finite"]
    assert found["error"] < 0.01
    # The copy is gone when the engine is built, and nothing was written beside the exported graph.
    assert found["left"] == ["model.data", "model.onnx"]


def test_in_bf16_numbers_are_those_of_the_fp32_graph(tmp_path: Path) -> None:
    found = cast(tmp_path / "job", "1", "bf16")
    assert found["ports"] == [FLOAT, FLOAT]
    assert found["weights"]["weights"] == BFLOAT16
    # The others are axes, which are integers.
    assert [kind for kind in found["constants"] if kind != INT64] == [BFLOAT16]
    assert found["casts"] == [FLOAT, BFLOAT16]
    assert found["problem"] == "", "in its opset, an operator has no bfloat16"
    # Through fp16, 1e6 would be 65504.
    assert found["finite"]
    assert found["error"] < 0.05


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_same_graph_gives_the_same_bytes(tmp_path: Path, precision: str) -> None:
    first, second = (cast(tmp_path / seed, seed, precision)["files"] for seed in ("1", "2"))
    assert set(first) == {"model.onnx", "model.data"}
    assert first == second
