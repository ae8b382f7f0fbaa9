"""Every case at its true size, in its container on this host: `make test-full-size`.

Minutes each on two cores, so neither `make test` nor `make test-slow` runs them. Memory has a bound;
times are shown (``-s``), never asserted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COSINE_MIN = 0.99999
EXIT_MISSING = 3

pytestmark = [pytest.mark.container, pytest.mark.full_size]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One case, how much of its data is used, and the memory that it may take."""

    case: str
    arguments: tuple[str, ...]
    items: int
    memory_gib: float


LOOKS = (
    Look(case="vit_b_32", arguments=("--limit", "64"), items=64, memory_gib=4),
    Look(case="vit_s_16", arguments=("--limit", "64"), items=64, memory_gib=4),
    Look(case="regnety_016", arguments=("--limit", "64"), items=64, memory_gib=4),
    Look(case="vit_l_16", arguments=("--limit", "64"), items=64, memory_gib=8),
    Look(
        case="stable_diffusion_v1_4",
        arguments=("--prompts", "2", "--steps", "3"),
        items=2,
        memory_gib=12,
    ),
    Look(case="resnet_50", arguments=("--limit", "64"), items=64, memory_gib=4),
    Look(case="swin_b", arguments=("--limit", "32"), items=32, memory_gib=4),
    Look(case="bert_large", arguments=("--limit", "8"), items=8, memory_gib=8),
    Look(case="detr_resnet_50", arguments=("--limit", "4"), items=4, memory_gib=4),
    Look(case="dlrm_kaggle", arguments=("--limit", "4096"), items=4096, memory_gib=12),
    Look(case="smollm2_135m", arguments=("--limit", "4"), items=4, memory_gib=4),
    Look(case="sam_h", arguments=("--limit", "3"), items=3, memory_gib=14),
)


@pytest.fixture(params=LOOKS, ids=lambda look: look.case)
def looked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Look, dict[str, Any]]:
    look: Look = request.param
    arguments = ["--case", look.case, "--vendor", "cpu", "--runner", "docker"]
    arguments += ["--weights", "synthetic", "--data", "synthetic", *look.arguments]
    done = subprocess.run(
        [str(ROOT / "driver" / "assay"), "run", "--format", "json", *arguments],
        env={**os.environ, "OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == EXIT_MISSING and not os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    shares = ", ".join(f"{part['what']} {part['wall_s']:.1f}" for part in result["time_shares"])
    sys.stdout.write(f"\n{look.case}: {result['metrics']['e2e_time_s']:.1f} s ({shares})\n")
    return look, result


def test_a_case_of_full_size_runs_within_its_memory_and_agrees_with_fp32(
    looked: tuple[Look, dict[str, Any]],
) -> None:
    look, result = looked
    metrics = result["metrics"]
    assert result["status"] == "ok"
    assert (result["weights"], result["data"]) == ("synthetic", "synthetic")
    assert metrics["fidelity"]["cosine_min"] >= COSINE_MIN
    assert metrics["mem_gib"] <= look.memory_gib
    assert metrics["p_infer_core"] > 0
    assert "not_simplified" not in {warning["code"] for warning in result["warnings"]}
    whole = next(entry for entry in result["samples"] if entry["name"] == "infer-0-whole")
    batches = -(-look.items // result["job"]["batch_size"])
    assert (result["provenance"]["dataset"]["count"], whole["count"]) == (look.items, batches)
