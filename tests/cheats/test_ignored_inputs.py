"""A model of two inputs and one number per item, dlrm_kaggle with small tables, through the driver's `run`."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from driver.system.settings import ROOT
from tests.harness.interpreters import cpu_stack
from tests.short_run import copy_of_cpu, short_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack

SMALL, ROWS = "dlrm_small", 50
IGNORES = """

class Cheat(ENGINE):
    def infer(self, inputs):
        inputs = dict(inputs)
        inputs["{0}"] = inputs["{0}"] * 0
        return super().infer(inputs)


ENGINE = Cheat
"""


def small_case(folder: Path) -> Path:
    """Copy the case, with tables of at most ROWS rows and without what is then untrue of it."""
    case = folder / SMALL
    shutil.copytree(ROOT / "cases" / "dlrm_kaggle", case)
    model = (case / "model.py").read_text(encoding="utf-8")
    small = re.sub(r"\nROWS = \((.*?)\n\)\n", rf"\nROWS = ({ROWS},) * 26\n", model, flags=re.DOTALL)
    assert small != model
    (case / "model.py").write_text(small, encoding="utf-8")
    manifest = (case / "case.toml").read_text(encoding="utf-8")
    for before, after in (
        ('name = "dlrm_kaggle"', f'name = "{SMALL}"'),
        ('aliases = ["dlrm"]', "aliases = []"),
        ("540_677_217", str(475_985 + 26 * ROWS * 16)),
        ("540_201_232", str(26 * ROWS * 16)),
    ):
        assert before in manifest
        manifest = manifest.replace(before, after)
    (case / "case.toml").write_text(manifest, encoding="utf-8")
    return case


def run(folder: Path, cheat: str, *words: str) -> tuple[int, dict[str, Any]]:
    """Run the small case on vendor cpu, with ``cheat`` at the end of its engine."""
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)
    engine = copy_of_cpu(folder, validates=False) / "engines" / "onnxruntime.py"
    engine.write_text(engine.read_text(encoding="utf-8") + cheat, encoding="utf-8")
    variables = {
        "OUT": str(folder / "results"),
        "VENDOR_PATH": str(folder / "cpu"),
        "CASE_PATH": str(small_case(folder)),
    }
    done = short_run(
        *("run", "--case", SMALL, "--weights", "synthetic", "--data", "synthetic"),
        *("--limit", "300", "--bs", "64", "--format", "json", *words),
        variables=variables,
    )
    return done.returncode, json.loads(done.stdout)


def test_an_honest_engine_passes_and_agrees_with_fp32(tmp_path: Path) -> None:
    code, result = run(tmp_path, "")
    assert (code, result["status"]) == (0, "ok"), result["failure"]
    metrics = result["metrics"]
    assert metrics["acc_infer"] == pytest.approx(100, abs=0.01)
    assert metrics["fidelity"]["cosine_min"] > 0.999999
    assert metrics["core_fidelity"]["cosine_min"] > 0.999999
    assert result["provenance"]["work"]["looked_up_elements"] == 416
    assert "implausible" not in {warning["code"] for warning in result["warnings"]}


@pytest.mark.parametrize("ignored", ["dense", "sparse"])
def test_an_engine_that_ignores_an_input_fails_the_gate(tmp_path: Path, ignored: str) -> None:
    code, result = run(tmp_path, IGNORES.format(ignored))
    assert (code, result["status"]) == (4, "accuracy_failed"), result["failure"]
    assert result["metrics"]["fidelity"]["cosine_min"] < 0.99
