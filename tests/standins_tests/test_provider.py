"""What every stand-in of ONNX Runtime's providers has, each patched in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

CPU = "CPUExecutionProvider"
#: Module of the stand-in → its providers, best first.
PROVIDERS = {
    "cann_provider": ["CANNExecutionProvider"],
    "maca": ["MACAExecutionProvider"],
    "migraphx_provider": ["MIGraphXExecutionProvider"],
    "ort_gpu": ["TensorrtExecutionProvider", "CUDAExecutionProvider"],
}
CODE = """
import importlib, json, os, sys
import numpy as np, onnxruntime as ort
importlib.import_module("assay_standin." + sys.argv[1]).patch(ort)
names = sys.argv[2].split(",")
batch = {"image": np.load("batch.npy")}

def opened(names, **others):
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return ort.InferenceSession("model.onnx", options, providers=names, **others)

def placed(session):
    found = session.get_provider_graph_assignment_info()
    listed = {one.ep_name: sorted(node.op_type for node in one.get_nodes()) for one in found}
    session.run(None, batch)
    events = json.load(open(session.end_profiling()))
    ran = [event["args"] for event in events if "provider" in event.get("args", {})]
    profiled = {}
    for args in ran:
        profiled.setdefault(args["provider"], set()).add(args["op_name"])
    return {"listed": listed, "profiled": {name: sorted(ops) for name, ops in profiled.items()}}

def refused(names, **others):
    try:
        opened(names, **others)
    except Exception as error:
        return str(error)

short = names[0].replace("ExecutionProvider", "").upper()
both = opened(names, provider_options=[{"device_id": "0"} for _ in names])
said = {"available": ort.get_available_providers(), "loaded": both.get_providers()}
said["options"] = both.get_provider_options()
said["out"] = both.run(None, batch)[0].tolist()
said["whole"] = placed(both)
os.environ["ASSAY_STANDIN_ORT_LEFT_BY_" + short] = "Flatten"
said["split"] = placed(opened(names))
os.environ["ASSAY_STANDIN_ORT_MISSING"] = names[0]
said["missing"] = opened(names).get_providers()
del os.environ["ASSAY_STANDIN_ORT_MISSING"]
said["other"] = refused(["FastProvider"])
said["device"] = [refused([(name, {"device_id": "9"})]) for name in names]
said["beside"] = refused(names, provider_options=[{"device_id": "9"} for _ in names])
os.environ["ASSAY_STANDIN_FAULT"] = "load:oom"
said["full"] = refused(names)
os.environ["ASSAY_STANDIN_FAULT"] = "infer:nan"
said["host"] = opened(["CPUExecutionProvider"]).run(None, batch)[0].tolist()
print(json.dumps(said))
"""


@cache
def said(folder: Path, module: str) -> Any:
    """Return what a process with the stand-in says (JSON)."""
    tiny_model.write(folder)
    np.save(folder / "batch.npy", tiny_model.images(3))
    done = subprocess.run(
        [sys.executable, "-B", "-c", CODE, module, ",".join(PROVIDERS[module])],
        cwd=folder, env={"PYTHONPATH": str(STANDINS / "core")},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@pytest.mark.parametrize("module", PROVIDERS)
def test_providers_are_used_and_compute(folder: Path, module: str) -> None:
    document, names = said(folder, module), PROVIDERS[module]
    assert document["available"][: len(names)] == names
    assert document["loaded"] == [*names, CPU]
    assert all(document["options"][name]["device_id"] == "0" for name in names)
    expected = tiny_model.reference(tiny_model.images(3))
    np.testing.assert_allclose(document["out"], expected, atol=1e-2)


@pytest.mark.parametrize("module", PROVIDERS)
def test_nodes_are_the_first_providers_that_takes_them(folder: Path, module: str) -> None:
    document, names = said(folder, module), [*PROVIDERS[module], CPU]
    for found in document["whole"].values():
        assert set(found) == {names[0]}
    for found in document["split"].values():
        assert "Flatten" not in found[names[0]]
        assert found[names[1]] == ["Flatten"]


@pytest.mark.parametrize("module", PROVIDERS)
def test_a_provider_whose_libraries_are_missing_is_left_out(folder: Path, module: str) -> None:
    assert said(folder, module)["missing"] == [*PROVIDERS[module][1:], CPU]


@pytest.mark.parametrize("module", PROVIDERS)
def test_what_is_not_there_is_refused(folder: Path, module: str) -> None:
    document = said(folder, module)
    assert "FastProvider is not in available providers" in document["other"]
    # However the options are given.
    for message in [*document["device"], document["beside"]]:
        assert "nvalid device" in message, message
    assert "memory" in document["full"]


@pytest.mark.parametrize("module", PROVIDERS)
def test_a_session_on_the_host_is_onnx_runtimes_own(folder: Path, module: str) -> None:
    """Faults of the device are not its own."""
    expected = tiny_model.reference(tiny_model.images(3))
    np.testing.assert_allclose(said(folder, module)["host"], expected, atol=1e-5)
