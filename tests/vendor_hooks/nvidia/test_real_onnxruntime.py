"""The engine's calls and the stand-in against ONNX Runtime's genuine CUDA provider, which needs no GPU to say no.

The package is a quarter of a gigabyte. Its provider runs on libraries that do nothing (bindings/cuda_stub.c): which
nodes it takes, which options it knows and where values are is its own doing. What it computes needs a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness.job_folder import ROOT
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.nvidia import bindings
from tests.vendor_hooks.vendor_job import manifest

pytestmark = [pytest.mark.stack, pytest.mark.slow]

PROBE = Path(__file__).parent / "probes" / "real_onnxruntime.py"
STANDINS = ROOT / "tests" / "standins"
CUDA = "CUDAExecutionProvider"
ROWS, WIDTH, CLASSES = 4, 12, 3


def graph() -> bytes:
    """Return a product after a guard like softmax's, static: nothing in it needs cuDNN."""
    weights = np.ones((WIDTH, CLASSES), np.float32)
    body = b"".join(
        (
            wire.message(1, wire.node("MatMul", ["input", "weights"], "product")),
            wire.message(1, wire.node("IsNaN", ["product"], "lost")),
            wire.message(1, wire.node("Where", ["lost", "zero", "product"], "logits")),
            wire.message(2, "product"),
            wire.message(5, wire.initializer("weights", weights)),
            wire.message(5, wire.initializer("zero", np.zeros(1, np.float32))),
            wire.message(11, wire.value_info("input", (ROWS, WIDTH))),
            wire.message(12, wire.value_info("logits", (ROWS, CLASSES))),
        )
    )
    opset = wire.message(8, wire.message(1, "") + wire.number(2, wire.OPSET))
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + opset


@cache
def ran(folder: Path, options: str) -> Any:
    """Return the probe's document for these options (JSON)."""
    package, reason = bindings.installed("onnxruntime-gpu-1.31.1")
    if package is None:
        pytest.skip(reason)
    path = folder / "graph.onnx"
    path.write_bytes(graph())
    done = subprocess.run(
        [sys.executable, "-B", str(PROBE), str(path), options],
        env={
            **os.environ,
            "PYTHONPATH": str(package),
            "LD_LIBRARY_PATH": str(package / "lib"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def options_of(precision: str) -> dict[str, str]:
    """Return what vendor.toml gives CUDA's provider."""
    spec = manifest("nvidia").engines["ort_cuda"]
    given = (
        spec.options["provider_options"] | spec.precisions[precision].options["provider_options"]
    )
    return {name: str(value) for name, value in given.items()}


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("tf32", "1"), ("fp16", "1")])
def test_it_takes_the_options_and_states_them(folder: Path, precision: str, tf32: str) -> None:
    document = ran(folder, json.dumps(options_of(precision)))
    assert "failure" not in document, document
    assert (document["version"], document["cuda"]) == ("1.31.1", "13.0")
    assert document["options"]["use_tf32"] == tf32


def test_it_takes_every_node_of_a_static_graph(folder: Path) -> None:
    placed = ran(folder, json.dumps(options_of("fp32")))["placed"]
    assert placed == {CUDA: {"MatMul": 1, "IsNaN": 1, "Where": 1}}


def test_values_are_bound_in_its_memory(folder: Path) -> None:
    document = ran(folder, json.dumps(options_of("fp32")))
    assert document["bound"] == ["cuda", "cuda", [ROWS, CLASSES]]
    # An input is updated in place only by an array of its size.
    assert document["uneven"]


def test_an_option_that_it_does_not_know_is_refused(folder: Path) -> None:
    _, message = ran(folder, json.dumps({"device_id": "0", "use_tf23": "0"}))["failure"]
    assert 'Unknown provider option: "use_tf23"' in message


def test_the_stand_in_states_the_options_that_it_states(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(STANDINS / "core"))
    from assay_standin import ort_gpu  # type: ignore[import-not-found]

    assert ran(folder, '{"device_id": "0"}')["options"] == ort_gpu.OPTIONS[CUDA]
