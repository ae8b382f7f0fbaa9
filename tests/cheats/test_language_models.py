"""An honest language model through `driver/assay run`, and one that loses its past: exit code, result, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cheats.test_whole_runs import assay
from tests.harness.interpreters import cpu_stack
from tests.short_run import SHORT_S, copy_of_cpu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack

PROMPT, TOKENS = 32, 8
FORGETS = """

class Cheat(ENGINE):
    def decode(self, tokens):
        self.begin(len(tokens))
        return super().decode(tokens)


ENGINE = Cheat
"""


@pytest.fixture(autouse=True)
def stacks() -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)


def run(folder: Path, cheat: str = "", *, validates: bool = False) -> tuple[int, dict[str, Any]]:
    """Run llama_pydoc with vendor cpu, whose engine onnxruntime takes a short cut."""
    path = copy_of_cpu(folder, validates=validates) / "engines" / "onnxruntime.py"
    path.write_text(path.read_text(encoding="utf-8") + cheat, encoding="utf-8")
    lengths = ("--prompt", str(PROMPT), "--tokens", str(TOKENS), "--limit", "16")
    return assay(folder, "run", "--case", "llama_pydoc", *lengths, seconds=SHORT_S)


def test_an_honest_engine_has_every_figure_of_its_tokens(tmp_path: Path) -> None:
    code, result = run(tmp_path, validates=True)
    assert (code, result["status"]) == (0, "ok"), result["failure"]
    metrics = result["metrics"]
    found = metrics["generation"]
    assert (found["prompt"], found["tokens"]) == (PROMPT, TOKENS)
    # A batch takes one prefill and seven decode steps.
    assert found["itl_ms"]["samples"] == 7 * found["ttft_ms"]["samples"]
    assert metrics["latency_ms"] == found["itl_ms"]
    assert found["p_prefill"] > found["p_decode"] > 0
    # Keys and values of 4 layers, 2 heads of 24 numbers: 384 of each of 39 tokens, of 8 sequences.
    assert found["kv_cache_gib"] * (1 << 30) == pytest.approx(8 * 39 * 384 * 4)
    assert metrics["acc_infer"] == pytest.approx(metrics["acc_val"], rel=1e-4)
    assert 1 < metrics["acc_infer"] < 2.5
    assert metrics["fidelity"]["cosine_min"] > 0.99999
    assert metrics["core_fidelity"]["items"] >= 1
    assert (result["core_item"], result["item"]) == ("token", "text")


def test_an_engine_that_loses_its_past_fails_the_gate(tmp_path: Path) -> None:
    code, result = run(tmp_path, FORGETS)
    assert (code, result["status"]) == (4, "accuracy_failed"), result["failure"]
    assert result["metrics"]["fidelity"]["cosine_min"] < 0.99
