"""The graph with quantizers in a cached export: checked by the digest in export.json, under its precision's name."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from driver.session.inputs.artifact_cache import damaged_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_damaged_one_is_found_without_a_record(tmp_path: Path, precision: str) -> None:
    """An earlier version or a bundle made it."""
    model, graph = tmp_path / "export" / "model", b"a graph"
    model.mkdir(parents=True)
    described = {
        "quantized": {"precision": precision},
        "quantized_sha256": hashlib.sha256(graph).hexdigest(),
    }
    (model / "export.json").write_text(json.dumps(described), encoding="utf-8")
    (model / f"model.{precision}.onnx").write_bytes(b"another")
    found = damaged_files(tmp_path / "export", tmp_path / "memory")
    assert found == [f"model/model.{precision}.onnx"]
    (model / f"model.{precision}.onnx").write_bytes(graph)
    assert damaged_files(tmp_path / "export", tmp_path / "memory") == []


def test_a_precision_that_no_export_has_names_no_file(tmp_path: Path) -> None:
    model = tmp_path / "export" / "model"
    model.mkdir(parents=True)
    described = {"quantized": {"precision": "../../etc"}, "quantized_sha256": "0" * 64}
    (model / "export.json").write_text(json.dumps(described), encoding="utf-8")
    assert damaged_files(tmp_path / "export", tmp_path / "memory") == []
