"""ONNX Runtime with a MACA provider, patched in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS
from tests.waiting import PATIENCE_S

CODE = """
import assay_standin_maca, json, sys
import numpy as np, onnxruntime as ort
said = {"mark": ort.__assay_standin__, "available": ort.get_available_providers()}
session = ort.InferenceSession("model.onnx", providers=[("MACAExecutionProvider", {"device_id": "0"})])
said["used"] = session.get_providers()
said["out"] = session.run(None, {"image": np.load("batch.npy")})[0].tolist()
options = ort.SessionOptions()
options.enable_profiling = True
maca = [("MACAExecutionProvider", {"device_id": "0"})]
for host in ((), ("*",)):
    ort.InferenceSession.host_operators = host
    session = ort.InferenceSession("model.onnx", options, providers=maca)
    session.run(None, {"image": np.load("batch.npy")})
    args = [event.get("args", {}) for event in json.load(open(session.end_profiling()))]
    attributed = sorted({each["provider"] for each in args if "provider" in each})
    said.setdefault("attributed", []).append(attributed)
plain = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
said["plain"] = plain.get_providers()
for providers in (["FastProvider"], [("MACAExecutionProvider", {"device_id": "9"})]):
    try:
        ort.InferenceSession("model.onnx", providers=providers)
        said.setdefault("refused", []).append("")
    except Exception as error:
        said.setdefault("refused", []).append(str(error))
print(json.dumps(said))
"""


def run(tmp_path: Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    tiny_model.write(tmp_path)
    np.save(tmp_path / "batch.npy", tiny_model.images(3))
    path = f"{STANDINS / 'core'}:{STANDINS / 'metax' / 'python'}"
    return subprocess.run(
        [sys.executable, "-B", "-c", CODE],
        cwd=tmp_path, env={"PYTHONPATH": path, "ASSAY_STANDIN_FAULT": fault},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_provider_is_there_is_used_and_computes(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["mark"] is True
    assert said["available"][0] == "MACAExecutionProvider"
    assert said["used"][0] == "MACAExecutionProvider"
    assert said["attributed"] == [["MACAExecutionProvider"], ["CPUExecutionProvider"]]
    assert said["plain"] == ["CPUExecutionProvider"]
    np.testing.assert_allclose(said["out"], tiny_model.reference(tiny_model.images(3)), atol=1e-5)
    assert "FastProvider is not in available providers" in said["refused"][0]
    assert "invalid device ordinal" in said["refused"][1]


def test_told_to_give_nan_it_gives_nan(tmp_path: Path) -> None:
    said = json.loads(run(tmp_path, "nan").stdout)
    assert np.isnan(np.asarray(said["out"], dtype=float)).any()


def test_told_to_run_out_of_memory_it_does(tmp_path: Path) -> None:
    done = run(tmp_path, "oom")
    assert done.returncode != 0
    assert "mcErrorMemoryAllocation" in done.stderr
