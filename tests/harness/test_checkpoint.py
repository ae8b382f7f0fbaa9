"""Checkpoints: which weights count is never chosen silently, and foreign objects are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.modules import checkpoint, errors


def test_averaged_weights_beside_the_others_are_not_ignored_silently() -> None:
    with pytest.raises(errors.StageFailure, match="state_dict and state_dict_ema"):
        checkpoint.refuse_averages(
            "m.pth", {"state_dict": {}, "state_dict_ema": {}, "epoch": 3}, "state_dict"
        )
    with pytest.raises(errors.StageFailure, match="model and model_ema"):
        checkpoint.refuse_averages("m.pth", {"model": {}, "model_ema": {}}, "model")
    checkpoint.refuse_averages("m.pth", {"model": {}, "schema": {}, "optimizer": {}}, "model")


def test_an_object_beside_the_tensors_is_named_with_how_to_strip_it() -> None:
    error = ValueError(
        "Weights only load failed. Unsupported global: GLOBAL argparse.Namespace was"
    )
    failure = checkpoint.unreadable(Path("m.pth"), error)
    assert failure.message == "m.pth has an object of type argparse.Namespace beside its tensors"
    assert "WEIGHTS=only-m.pth" in failure.remedy


def test_a_file_that_macos_adds_is_no_checkpoint(tmp_path: Path) -> None:
    for name in ("._m.pth", "m.pth", ".DS_Store"):
        (tmp_path / name).touch()
    assert checkpoint.only_file(tmp_path, ".pth").name == "m.pth"
