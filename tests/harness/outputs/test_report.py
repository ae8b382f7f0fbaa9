"""report.json: the driver's model accepts it, and it is there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver.models.base import FailureKind, StageName
from driver.models.report import StageReport
from tests.harness.modules import errors, report


def read(folder: Path) -> StageReport:
    return StageReport.model_validate_json((folder / "report.json").read_text())


@pytest.mark.parametrize("stage", list(StageName))
def test_an_empty_report_of_every_stage_is_valid(tmp_path: Path, stage: StageName) -> None:
    report.Report(stage.value, "0123456789abcdef", 2).write(tmp_path)
    found = read(tmp_path)
    assert (found.stage, found.repeat, found.status) == (stage, 2, "ok")
    assert found.versions["numpy"] == np.__version__
    assert found.wall_ns > 0


def test_the_guest_knows_exactly_the_driver_s_kinds_of_failure() -> None:
    assert set(errors.KINDS) == {kind.value for kind in FailureKind}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_a_failure_of_every_kind_is_valid(tmp_path: Path, kind: FailureKind) -> None:
    made = report.Report("infer")
    made.failure = errors.StageFailure(kind.value, "it broke", "fix it")
    made.write(tmp_path)
    found = read(tmp_path)
    assert found.status == "failed"
    assert found.failure is not None
    assert (found.failure.kind, found.failure.stage) == (kind, StageName.INFER)


def test_an_unknown_kind_of_failure_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="unknown failure kind 'bad luck'"):
        errors.StageFailure("bad luck", "it broke", "fix it")


def test_what_an_engine_reads_back_may_be_of_any_type(tmp_path: Path) -> None:
    made = report.Report("infer")
    made.effective = {
        "threads": np.int64(2),
        "scale": np.float32(0.5),
        "nothing": float("nan"),
        "shape": (1, np.int32(3)),
        "ranges": np.array([[1.0, np.inf]]),
        "path": Path("engine.plan"),
        3: {"a"},
        "flag": np.bool_(True),
    }
    made.write(tmp_path)
    assert read(tmp_path).effective == {
        "threads": 2,
        "scale": 0.5,
        "nothing": None,
        "shape": [1, 3],
        "ranges": [[1.0, None]],
        "path": "engine.plan",
        "3": ["a"],
        "flag": True,
    }


def test_a_write_that_fails_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report.Report("infer", "0123456789abcdef")
    made.write(tmp_path)
    made.details["not json"] = 1

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        made.write(tmp_path)
    assert "not json" not in json.loads((tmp_path / "report.json").read_text())["details"]
