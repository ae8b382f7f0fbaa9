"""Export of vit_digits: every opset and batch the engines ask for, one folder for every vendor."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.forks import EXPORTING
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.reference.conftest import BATCH, FORMS, GOLDEN, PROBES, digits_job
from tests.vendor_hooks.reference.stack import HOOK, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.job_folder import JobFolder, Outcome

    Exports = dict[tuple[int, str], Outcome]
    Graphs = dict[tuple[int, str], dict[str, Any]]

pytestmark = pytest.mark.stack

MANIFEST = tomllib.loads((ROOT / "cases/vit_digits/case.toml").read_text(encoding="utf-8"))
IR_OF_OPSET = {18: 8, 17: 8, 13: 7, 11: 6}
"""The oldest file format of each opset, as onnx's own table of releases has it."""


def description(outcome: Outcome) -> dict[str, Any]:
    text = (outcome.out / "model" / "export.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"opset{form[0]}-{form[1]}")
def test_the_file_has_the_asked_opset_and_batch(
    form: tuple[int, str], exports: Exports, graphs: Graphs
) -> None:
    _ = exports[form].ok
    opset, batch = form
    graph = graphs[form]
    assert graph["opsets"] == {"": opset}
    assert graph["ir_version"] == IR_OF_OPSET[opset]
    first = "batch" if batch == "dynamic" else BATCH
    assert graph["inputs"] == {"input": [first, 3, 32, 32]}
    assert graph["outputs"] == {"output": [first, 10]}
    assert graph["external"] == []


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"opset{form[0]}-{form[1]}")
def test_export_json_describes_the_file(form: tuple[int, str], exports: Exports) -> None:
    found = description(exports[form])
    model = (exports[form].out / "model" / "model.onnx").read_bytes()
    assert found["onnx_sha256"] == hashlib.sha256(model).hexdigest()
    assert found["data_sha256"] is None
    assert found["opset"] == form[0]
    assert found["batch"] == ("dynamic" if form[1] == "dynamic" else BATCH)
    assert found["exporter"] == ("dynamo" if form[0] == 18 else "torchscript")
    assert found["attention"] == ("sdpa" if form[0] == 18 else "eager")
    assert (found["simplified"], found["simplify_reason"]) == (True, "")
    assert found["macs"] == MANIFEST["model"]["macs"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"opset{form[0]}-{form[1]}")
def test_onnx_runtime_agrees_with_torch(form: tuple[int, str], exports: Exports) -> None:
    agreement = description(exports[form])["agreement"]
    assert agreement["cosine_min"] >= 0.99999
    padded = -(-GOLDEN // BATCH) * BATCH
    assert agreement["items"] == (GOLDEN if form[1] == "dynamic" else padded)


def test_golden_outputs_are_the_same_whatever_the_form(exports: Exports) -> None:
    arrays = [outcome.npz("golden/golden.npz")["output"] for outcome in exports.values()]
    assert {array.shape for array in arrays} == {(GOLDEN, 10)}
    assert {array.dtype.name for array in arrays} == {"float32"}
    for array in arrays[1:]:
        np.testing.assert_allclose(array, arrays[0], atol=1e-5)


def test_nothing_of_the_exporting_machine_stays_in_the_file(
    exports: Exports, graphs: Graphs
) -> None:
    assert all(graph["metadata"] == 0 for graph in graphs.values())
    for outcome in exports.values():
        assert b".py" not in (outcome.out / "model" / "model.onnx").read_bytes()


def test_the_raw_graph_does_not_stay(exports: Exports) -> None:
    for outcome in exports.values():
        left = {path.name for path in (outcome.out / "model").iterdir()}
        assert left == {"model.onnx", "export.json"}
        assert not (outcome.out / "raw").exists()


def test_the_hook_exports_and_what_is_there_is_not_made_again(
    make_digits: Callable[..., JobFolder], reference_python: Path, exports: Exports
) -> None:
    job = make_digits(export={"opset": 17, "batch": "dynamic"})
    model = exports[17, "dynamic"].out / "model"
    (job.folder / "model").rmdir()
    (job.folder / "model").symlink_to(model)
    outcome = job.run("export", python=reference_python)
    assert outcome.ok.artifacts == ()
    assert not (outcome.out / "model").exists()
    first = exports[17, "dynamic"].npz("golden/golden.npz")["output"]
    np.testing.assert_array_equal(outcome.npz("golden/golden.npz")["output"], first)


def test_a_second_process_writes_the_same_bytes(
    tmp_path: Path, reference_python: Path, exports: Exports
) -> None:
    hook = tmp_path / "hook"
    shutil.copytree(HOOK, hook, ignore=shutil.ignore_patterns("__pycache__"))
    program = hook / "export.py"
    text = program.read_text(encoding="utf-8")
    assert text.count("BESIDE_MACS = 10**9") == 1
    program.write_text(text.replace("BESIDE_MACS = 10**9", "BESIDE_MACS = 0"), encoding="utf-8")
    job = digits_job(tmp_path / "job", export={"opset": 18, "batch": "dynamic"})
    (job.folder / "hook").unlink()
    (job.folder / "hook").symlink_to(hook)
    outcome = job.run_forked("export", python=reference_python, modules=EXPORTING)
    assert outcome.ok.details["steps_ns"]["export"] > 0
    found, inline = description(outcome), description(exports[18, "dynamic"])
    assert found["onnx_sha256"] == inline["onnx_sha256"]
    assert (found["exporter"], found["macs"]) == (inline["exporter"], inline["macs"])
    assert found["agreement"]["cosine_min"] >= 0.99999


@pytest.fixture(scope="module")
def odd(
    reference_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Return what odd_exports.py tells: exports with a fault put in, one process for all."""
    job = digits_job(tmp_path_factory.mktemp("odd") / "job", export={"opset": 17})
    job.write_job("export")
    facts: dict[str, dict[str, Any]] = probe(
        reference_python, PROBES / "odd_exports.py", str(job.folder)
    )
    return facts


def test_large_weights_go_to_one_data_file(odd: dict[str, dict[str, Any]]) -> None:
    found = odd["external"]
    assert found["files"] == ["export.json", "model.data", "model.onnx"]
    assert found["locations"] == ["model.data"]
    assert found["agreement"]["cosine_min"] >= 0.99999
    assert found["data_sha256"] == found["sha256_of_data"]
    # Written anew, not appended to what an earlier attempt had left.
    assert found["data_bytes"] < 900_000


@pytest.mark.parametrize(
    ("name", "data", "files"),
    [
        ("large", "model.data", ["export.json", "model.data", "model.onnx"]),
        (
            "large_saved",
            "torch/model.safetensors",
            [
                "export.json",
                "model.data",
                "model.onnx",
                "torch/config.json",
                "torch/model.safetensors",
            ],
        ),
    ],
)
def test_a_graph_of_gigabytes_is_used_as_exported_with_one_copy_of_its_weights(
    odd: dict[str, dict[str, Any]], name: str, data: str, files: list[str]
) -> None:
    found = odd[name]
    # Matrices that the exporter turns around are not among those that were saved.
    assert (found["status"], found["locations"][-1], found["files"]) == (0, data, files)
    described = found["export"]
    digests = (described["data_sha256"], *described["saved_sha256"].values())
    assert found["sha256"] in digests
    assert found["export"]["agreement"]["cosine_min"] >= 0.99999
    assert "used as exported" in found["export"]["simplify_reason"]


def test_weights_are_converted_when_they_are_used(odd: dict[str, dict[str, Any]]) -> None:
    assert odd["conversions"]["names"] == [
        *("cast0", "turned0", "cast1", "turned1"),
        *("relu0", "y0", "relu1", "y1"),
    ]


def test_a_model_that_reads_values_is_counted_from_its_graph(
    odd: dict[str, dict[str, Any]],
) -> None:
    found = odd["value_dependent"]
    assert found["status"] == 0
    assert found["export"]["macs"] == MANIFEST["model"]["macs"]
    assert found["export"]["macs_scope"].startswith("one item; matrix products and convolutions of")
    assert found["files"] == ["export.json", "model.onnx"]


def test_a_graph_that_onnxsim_cannot_simplify_is_used_as_it_is(
    odd: dict[str, dict[str, Any]],
) -> None:
    found = odd["not_simplified"]
    assert found["status"] == 0
    assert found["export"]["simplified"] is False
    assert "onnxsim failed: RuntimeError: no pass for this" in found["export"]["simplify_reason"]
    assert [warning["code"] for warning in found["warnings"]] == ["not_simplified"]


def test_onnxsim_keeps_its_gigabytes_on_disk_not_in_the_containers_memory(
    odd: dict[str, dict[str, Any]],
) -> None:
    before, _, after = odd["not_simplified"]["places"]
    assert odd["not_simplified"]["on_disk"] is True
    assert before == after


def test_two_exports_are_the_same_bytes(odd: dict[str, dict[str, Any]], exports: Exports) -> None:
    assert odd["again"]["sha256"] == description(exports[17, "dynamic"])["onnx_sha256"]


def test_an_exporter_that_ignores_the_opset_is_caught(odd: dict[str, dict[str, Any]]) -> None:
    assert odd["other_opset"]["kind"] == "export"
    assert "'ai.onnx': 17" in odd["other_opset"]["message"]


def test_a_graph_that_disagrees_with_torch_is_refused(odd: dict[str, dict[str, Any]]) -> None:
    assert odd["disagrees"]["kind"] == "export"
    assert "disagrees with torch: cosine" in odd["disagrees"]["message"]


def test_an_export_with_its_data_cut_or_missing_is_refused(odd: dict[str, dict[str, Any]]) -> None:
    assert odd["data_missing"]["kind"] == "export"
    assert odd["data_cut"]["kind"] == "export"
    assert odd["large_cut"]["kind"] == "export"


def test_only_weights_that_a_graph_takes_of_a_file_make_it_large(
    odd: dict[str, dict[str, Any]],
) -> None:
    """SAM's graph and its weights for torch are 2.4 GiB each, and were taken for 4.8: never simplified."""
    assert odd["share_of_a_file"]["large"] == [True, False]


def test_synthetic_weights_are_kept_as_a_folder_that_loads_again(
    odd: dict[str, dict[str, Any]],
) -> None:
    found = odd["synthetic"]
    assert found["torch"] == ["config.json", "model.safetensors"]
    assert found["largest_difference"] == 0.0


def test_weights_that_onnxsim_put_beside_the_graph_become_model_data(
    odd: dict[str, dict[str, Any]],
) -> None:
    found = odd["beyond"]
    assert found["status"] == 0
    assert found["export"]["simplified"] is True
    assert found["files"] == ["export.json", "model.data", "model.onnx"]
    assert found["constant"] == [0, 1, 2]
    assert "raw" not in found["left"]


def test_weights_that_are_stored_already_are_not_written_again(
    odd: dict[str, dict[str, Any]],
) -> None:
    assert odd["stored"]["status"] == 0
    assert "torch/model.safetensors" in odd["stored"]["files"]


def test_stored_weights_with_other_values_are_not_taken_for_the_graphs(
    odd: dict[str, dict[str, Any]],
) -> None:
    assert odd["stored_others"]["status"] == 0
    assert odd["stored_others"]["files"] == ["raw.data"]
    assert odd["stored_others"]["export"]["agreement"]["cosine_min"] >= 0.99999
