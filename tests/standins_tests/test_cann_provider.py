"""ONNX Runtime with CANN's provider, patched in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import assay_standin_cann, json
import numpy as np, onnxruntime as ort

def opened(**options):
    return ort.InferenceSession("model.onnx", providers=[("CANNExecutionProvider", options)])

said = {"mark": getattr(ort, "__assay_standin__", False), "available": ort.get_available_providers()}
if said["mark"]:
    batch = {"image": np.load("batch.npy")}
    session = opened(precision_mode="must_keep_origin_dtype")
    said["used"] = session.get_providers()
    said["options"] = session.get_provider_options()["CANNExecutionProvider"]
    said["exact"] = session.run(None, batch)[0].tolist()
    said["lowered"] = opened().run(None, batch)[0].tolist()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession("model.onnx", options, providers=["CANNExecutionProvider"])
    info = session.get_provider_graph_assignment_info()
    said["assigned"] = {one.ep_name: sorted({n.op_type for n in one.get_nodes()}) for one in info}
    said["refused"] = []
    for wrong in ({"precision_mode_v2": "fp16"}, {"device_id": "9"}, {"precision_mode": "fp16"}):
        try:
            opened(**wrong)
        except Exception as error:
            said["refused"].append(str(error))
print(json.dumps(said))
"""


def run(tmp_path: Path, cann: str) -> dict[str, Any]:
    tiny_model.write(tmp_path)
    np.save(tmp_path / "batch.npy", tiny_model.images(3))
    path = f"{STANDINS / 'core'}:{STANDINS / 'ascend' / 'python'}"
    done = subprocess.run(
        [sys.executable, "-B", "-c", CODE],
        cwd=tmp_path, env={"PYTHONPATH": path, "ASSAY_STANDIN_CANN": cann},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_provider_is_used_computes_and_says_with_which_options(tmp_path: Path) -> None:
    said = run(tmp_path, "9.1.0")
    assert said["available"][0] == said["used"][0] == "CANNExecutionProvider"
    assert said["options"]["precision_mode"] == "must_keep_origin_dtype"
    assert said["options"]["dump_om_model"] == "1"
    expected = tiny_model.reference(tiny_model.images(3))
    np.testing.assert_allclose(said["exact"], expected, atol=1e-5)
    off = float(np.abs(np.asarray(said["lowered"]) - expected).max())
    assert 1e-6 < off < 1e-2
    assert set(said["assigned"]) == {"CANNExecutionProvider"}
    v2, device, mode = said["refused"]
    assert 'Unknown provider option: "precision_mode_v2"' in v2
    assert "Invalid device ID: 9" in device
    assert "E10001" in mode


def test_cann_5_has_no_provider(tmp_path: Path) -> None:
    assert run(tmp_path, "5.1.RC2")["mark"] is False
