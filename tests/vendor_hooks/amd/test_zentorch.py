"""zentorch for real, on an AMD processor: what it ran, and that a hook which uses autocast is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from driver.catalog.catalog import load_catalog
from driver.plan.processor import lacking
from driver.system.host.processor import read_identity
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.amd.stack import replaces_operators, zen_stack
from tests.vendor_hooks.test_engine_contract import EngineJob
from tests.vendor_hooks.vendor_job import assert_right

pytestmark = pytest.mark.stack

AUTOCAST = """

class Faulty(ENGINE):
    def load(self):
        self.job.precision = "fp32"
        return dict(super().load(), precision="bf16", arithmetic="bf16")

    def accelerate(self, torch, module):
        def lowered():
            return torch.autocast("cpu", dtype=torch.bfloat16)

        with lowered():
            compiled = super().accelerate(torch, module)

        def call(*tensors):
            with lowered():
                return compiled(*tensors)

        return call


ENGINE = Faulty
"""
"""bf16 as PyTorch's own documents advise it: weights stay in fp32."""


@pytest.fixture
def python() -> Path:
    found, reason = zen_stack()
    if found is None:
        pytest.skip(reason)
    return found


@pytest.fixture
def bf16() -> None:
    """Skip where the processor has no bf16."""
    unfit = lacking(load_catalog(ROOT).vendors["amd"], read_identity(), "bf16")
    if unfit is not None:
        pytest.skip(unfit[0])


@pytest.mark.usefixtures("python")
def test_its_own_operators_run(tmp_path: Path) -> None:
    outcome = EngineJob(tmp_path, "amd", "zentorch").run("infer")
    operators = outcome.ok.effective["operators"]
    its_own = any(name.startswith("zentorch::") for name in operators)
    assert its_own == replaces_operators(), operators
    if not its_own:
        # Its results would be those of inductor, so each has a warning.
        assert "AVX-512" in outcome.ok.warnings[0].remedy
    assert outcome.ok.versions["zentorch"]
    assert "g++" in outcome.ok.effective["cxx"]


@pytest.mark.usefixtures("python")
def test_inductor_runs_without_it(tmp_path: Path) -> None:
    outcome = EngineJob(tmp_path, "amd", "inductor").run("infer")
    operators = outcome.ok.effective["operators"]
    assert operators
    assert not any(name.startswith("zentorch::") for name in operators)


@pytest.mark.usefixtures("python", "bf16")
def test_bf16_is_cast_and_near_fp32(tmp_path: Path) -> None:
    raw = {}
    for precision in ("fp32", "bf16"):
        outcome = EngineJob(tmp_path / precision, "amd", "zentorch", precision).run("infer")
        assert_right(outcome)
        assert outcome.ok.effective["arithmetic"] == precision
        raw[precision] = outcome.npz("raw.npz")["logits"]
    assert 0 < np.abs(raw["bf16"] - raw["fp32"]).max() < 0.02


@pytest.mark.slow
@pytest.mark.usefixtures("python", "bf16")
def test_a_hook_that_uses_autocast_is_found(tmp_path: Path) -> None:
    vendor = Path(shutil.copytree(ROOT / "vendor_hooks" / "amd", tmp_path / "amd"))
    shutil.copytree(ROOT / "images" / "amd", vendor / "images")
    engine = vendor / "engines" / "zentorch.py"
    engine.write_text(engine.read_text(encoding="utf-8") + AUTOCAST, encoding="utf-8")
    words = ("run", "--vendor", "amd", "--precision", "bf16", "--format", "json")
    done = subprocess.run(
        [ROOT / "driver" / "assay", *words],
        env={**os.environ, "OUT": str(tmp_path / "results"), "VENDOR_PATH": str(vendor)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    result = json.loads(done.stdout)
    if done.returncode == 5:
        # Its outputs differ from call to call, too: the check of core's outputs comes before the gate.
        assert result["failure"]["kind"] == "contract"
        assert "sampled from the core loop" in result["failure"]["message"]
        assert result["metrics"]["p_infer_core"] is None
    else:
        assert (done.returncode, result["status"]) == (4, "accuracy_failed"), result["failure"]
