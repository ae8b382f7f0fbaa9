"""The same short cuts through the driver's `run`, with a true model: exit code, result, table.

An honest engine passes: tests/driver/test_end_to_end.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.interpreters import cpu_stack
from tests.short_run import CLOCK_S, SHORT_S, copy_of_cpu, short_run

pytestmark = pytest.mark.stack

IN_CORE = """
import sys as _sys


def _in_core():
    frame = _sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "core_loop":
            return True
        frame = frame.f_back
    return False
"""

ZEROS = (
    IN_CORE
    + """

class Cheat(ENGINE):
    same_process = True  # elsewhere it cannot know that the core loop called

    def infer(self, inputs):
        outputs = super().infer(inputs)
        return {n: a * 0 for n, a in outputs.items()} if _in_core() else outputs


ENGINE = Cheat
"""
)

NOISE = """
import numpy as _np


class Cheat(ENGINE):
    def infer(self, inputs):
        outputs = super().infer(inputs)
        noisy = {}
        for name, array in outputs.items():
            noisy[name] = array.copy()
            for row, item in zip(noisy[name], next(iter(inputs.values()))):
                seed = int(abs(float(item.sum(dtype=_np.float64))) * 1e3) % (1 << 31)
                # The best class keeps its lead; everything else is noise.
                drawn = _np.random.RandomState(seed).standard_normal(row.shape)
                best = row.argmax()
                drawn[best] = drawn.max() + 1
                row[:] = drawn * _np.abs(row).max()
        return noisy


ENGINE = Cheat
"""

BF16 = """

class Cheat(ENGINE):
    def load(self):
        self.job.precision = "bf16"
        settings = super().load()
        return dict(settings, precision="fp32", arithmetic="fp32")


ENGINE = Cheat
"""


REMEMBERS = """
import hashlib as _hashlib


class Cheat(ENGINE):
    known = {}

    def infer(self, inputs):
        key = _hashlib.sha256(b"".join(a.tobytes() for a in inputs.values())).digest()
        if key not in self.known:
            self.known[key] = {n: a.copy() for n, a in super().infer(inputs).items()}
        return self.known[key]


ENGINE = Cheat
"""


SLOW_HOOK = """#!/bin/sh
set -eu
PYTHONPATH="$2/hook/patched:$2" exec python3 -B -m harness "$1" "$2"
"""

SLOW_CLOCK = """
import time

_now, _start = time.perf_counter_ns, time.perf_counter_ns()
time.perf_counter_ns = lambda: _start + (_now() - _start) * {percent} // 100
"""
"""As a library that every Python of the hook loads would do it: the harness's process has this clock, too."""


@pytest.fixture(autouse=True)
def stacks() -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)


def run(
    folder: Path, engine: str, cheat: str, *cheating: str, seconds: float = SHORT_S
) -> tuple[int, dict[str, Any]]:
    """Run vit_digits with vendor cpu, whose engines ``cheating`` take a short cut.

    Where ONNX Runtime alone does, nothing is validated: what finds the short cut needs no validation.
    """
    vendor = copy_of_cpu(folder, validates=cheating != ("onnxruntime",))
    for name in cheating:
        path = vendor / "engines" / f"{name}.py"
        path.write_text(path.read_text(encoding="utf-8") + cheat, encoding="utf-8")
    return assay(folder, "run", "--engine", engine, seconds=seconds)


def assay(folder: Path, *words: str, seconds: float = CLOCK_S) -> tuple[int, dict[str, Any]]:
    """Call the driver with the vendor in ``folder``; return its exit code and its document."""
    variables = {"OUT": str(folder / "results"), "VENDOR_PATH": str(folder / "cpu")}
    done = short_run(*words, "--format", "json", variables=variables, seconds=seconds)
    return done.returncode, json.loads(done.stdout)


def audit(folder: Path) -> tuple[int, dict[str, Any]]:
    """Audit the one result in ``folder``; return the exit code and audit.json."""
    (result,) = (folder / "results").rglob("result.json")
    code, found = assay(folder, "audit", "--result", str(result.parent))
    assert json.loads(result.with_name("audit.json").read_text("utf-8")) == found
    return code, found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["verdict"] for one in found["checks"]}


@pytest.mark.slow
def test_the_audit_of_an_honest_result_never_refutes_it(tmp_path: Path) -> None:
    run(tmp_path, "onnxruntime", "", seconds=CLOCK_S)
    code, found = audit(tmp_path)
    assert (code, found["verdict"]) in ((0, "holds"), (8, "cannot tell")), found
    said = verdicts(found)
    assert "does not hold" not in said.values()
    always = ("job", "gate", "predictions", "accuracy", "core outputs", "seeds", "inputs", "clock")
    assert {said[name] for name in always} == {"holds"}


def test_the_audit_of_an_engine_that_remembers_batches_refutes_its_result(tmp_path: Path) -> None:
    """Its figure gains nothing, since no batch comes twice: it would with a user's repeated inputs."""
    code, result = run(tmp_path, "onnxruntime", REMEMBERS, "onnxruntime", seconds=CLOCK_S)
    assert (code, result["status"]) == (0, "ok")
    code, found = audit(tmp_path)
    assert (code, found["verdict"]) == (7, "does not hold")
    assert verdicts(found)["repeated inputs"] == "does not hold"


@pytest.mark.slow
def test_the_audit_of_a_result_whose_gate_failed_refutes_it(tmp_path: Path) -> None:
    run(tmp_path, "eager", BF16, "eager")
    code, found = audit(tmp_path)
    assert (code, found["verdict"]) == (4, "does not hold")
    assert verdicts(found)["gate"] == "does not hold"


def test_zeros_in_the_core_loop_break_the_contract(tmp_path: Path) -> None:
    code, result = run(tmp_path, "onnxruntime", ZEROS, "onnxruntime")
    assert (code, result["status"], result["failure"]["kind"]) == (5, "failed", "contract")
    assert result["metrics"]["p_infer_core"] is None


def test_noise_in_validate_and_infer_alike_fails_the_gate(tmp_path: Path) -> None:
    code, result = run(tmp_path, "onnxruntime", NOISE, "onnxruntime", "eager")
    assert (code, result["status"]) == (4, "accuracy_failed"), result["failure"]
    assert result["metrics"]["acc_infer"] == result["metrics"]["acc_val"] > 95
    assert result["metrics"]["fidelity"]["cosine_min"] < 0.99


def test_bf16_sold_as_fp32_fails_the_gate(tmp_path: Path) -> None:
    code, result = run(tmp_path, "eager", BF16, "eager")
    assert (code, result["status"]) == (4, "accuracy_failed"), result["failure"]
    assert 0.999 < result["metrics"]["fidelity"]["cosine_min"] < 0.99999


def run_slowed(folder: Path, percent: int, *words: str) -> tuple[int, dict[str, Any]]:
    """Run vit_digits with a hook whose harness counts ``percent`` seconds in a hundred."""
    vendor = copy_of_cpu(folder, validates=False)
    (vendor / "hook").write_text(SLOW_HOOK, encoding="utf-8")
    (vendor / "patched").mkdir()
    patch = SLOW_CLOCK.format(percent=percent)
    (vendor / "patched" / "sitecustomize.py").write_text(patch, encoding="utf-8")
    return assay(folder, "run", "--engine", "onnxruntime", *words)


def stages_by_both_clocks(result: dict[str, Any]) -> set[str]:
    """Return the stages whose loops were timed by the driver too, which must be as long by its clock."""
    stages = result["provenance"]["clock"]
    for found in stages.values():
        assert {"core", "whole"} <= set(found["loops"])
        assert found["unchecked"] == []
        for loop in found["loops"].values():
            # Rounded to microseconds.
            assert abs(loop["guest_s"] - loop["driver_s"]) <= loop["within_s"] + 2e-6
    return set(stages)


def test_an_honest_loop_is_as_long_by_the_drivers_clock(tmp_path: Path) -> None:
    """Validate's loops, too: tests/driver/test_end_to_end.py."""
    code, result = run_slowed(tmp_path, 100)
    assert code == 0, result["failure"]
    assert stages_by_both_clocks(result) == {"infer-0"}


@pytest.mark.parametrize("percent", [90, 110])
def test_a_clock_that_is_slow_or_fast_breaks_the_contract(tmp_path: Path, percent: int) -> None:
    code, result = run_slowed(tmp_path, percent)
    assert (code, result["failure"]["kind"]) == (5, "contract")
    assert "by the driver's clock" in result["failure"]["message"]
    assert result["metrics"]["p_infer_core"] is None


@pytest.mark.slow
def test_a_clock_slowed_by_three_percent_is_found_in_a_standard_run(tmp_path: Path) -> None:
    code, result = run_slowed(tmp_path, 97, "--tier", "standard", "--repeat", "1")
    assert (code, result["failure"]["kind"]) == (5, "contract")
    assert "by the driver's clock" in result["failure"]["message"]


def test_a_hook_that_keeps_the_driver_from_asking_is_marked(tmp_path: Path) -> None:
    vendor = copy_of_cpu(tmp_path, validates=False)
    silent = SLOW_HOOK.replace("set -eu", 'set -eu\nrm -f "$2/clock"')
    (vendor / "hook").write_text(silent, encoding="utf-8")
    code, result = assay(tmp_path, "run", "--engine", "onnxruntime", "--runner", "process")
    assert code == 0, result["failure"]
    assert "clock_unchecked" in {one["code"] for one in result["warnings"]}
