"""`run` and `rerun` on the real stacks: real pictures, a true accuracy, bad pictures.

The first run is `driver/assay` as a person types it; the others measure for a moment, and are the same in all else.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from driver.check.trial import TINY_ITEMS
from tests.cheats.test_whole_runs import stages_by_both_clocks
from tests.harness.interpreters import cpu_stack
from tests.short_run import copy_of_cpu, short_run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "cases" / "vit_digits" / "data" / "val"
TRIALS = str(TINY_ITEMS)
"""So many items that the golden outputs are those of a vendor's trial."""
pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def stacks() -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)


def assay_run(results: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return assay("run", results, *arguments, **variables)


def assay(
    verb: str, results: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return short_run(
        verb, "--format", "json", *arguments, variables={"OUT": str(results), **variables}
    )


def as_typed(*words: str, results: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "driver" / "assay"), *words],
        env={**os.environ, "OUT": str(results)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def pictures(folder: Path, per_class: int = 1) -> Path:
    """Copy a few of the case's own test pictures; every class folder is there."""
    for source in sorted(DIGITS.iterdir()):
        target = folder / "val" / source.name
        target.mkdir(parents=True)
        for picture in sorted(source.iterdir())[:per_class]:
            shutil.copy(picture, target)
    return folder


def jpeg(mode: str) -> bytes:
    from PIL import Image

    image = Image.effect_noise((64, 64), 40).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    return stream.getvalue()


def test_the_default_run_gives_a_true_accuracy_and_takes_caches_the_second_time(
    tmp_path: Path,
) -> None:
    first = as_typed("run", "--format", "json", results=tmp_path / "results")
    assert first.returncode == 0, first.stderr
    again: dict[str, Any] = json.loads(assay_run(tmp_path / "results").stdout)
    result = json.loads(first.stdout)
    assert result["status"] == "ok"
    assert result["weights"] == "trained-here"
    assert result["data"] == "real"
    assert result["metrics"]["acc_infer"] > 95
    assert result["metrics"]["acc_items"] == 364
    assert result["metrics"]["p_infer_core"] > 0
    assert result["metrics"]["fidelity"]["cosine_min"] > 0.99999
    assert result["metrics"]["core_fidelity"]["cosine_min"] > 0.99999
    assert stages_by_both_clocks(result) == {"validate-0", "infer-0"}
    cached = [stage["name"] for stage in again["stages"] if stage["cached"]]
    assert cached == ["export", "compile"]


def test_an_interpreter_of_the_host_stands_in_for_the_stack_and_the_result_says_so(
    tmp_path: Path,
) -> None:
    python, _ = cpu_stack()
    variables = {
        "STACK_PYTHON": str(python),
        "VENDOR_PATH": str(copy_of_cpu(tmp_path, validates=False)),
    }
    done = assay_run(tmp_path / "results", "--limit", TRIALS, **variables)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    made_of = result["provenance"]["vendor_stack"]
    assert result["job"]["stack"] == f"found-{made_of['sha256'][:8]}"
    assert made_of["kind"] == "found"
    assert made_of["in_place_of"] == "ort1.31-torch2.13"
    assert made_of["packages"]["torch"].startswith("2.13.0")
    assert result["provenance"]["reference_stack"]["kind"] == "environment"
    assert result["job"]["runner"] == "process"
    [said] = [w["message"] for w in result["warnings"] if w["code"] == "found_stack"]
    assert "it is not pinned" in said


def test_cmyk_and_greyscale_jpegs_are_valid_pictures(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data")
    (data / "val" / "0" / "cmyk.JPEG").write_bytes(jpeg("CMYK"))
    (data / "val" / "1" / "grey.JPEG").write_bytes(jpeg("L"))
    vendor = copy_of_cpu(tmp_path, validates=False)
    done = assay_run(tmp_path / "results", "--data", str(data), VENDOR_PATH=str(vendor))
    assert done.returncode in (0, 4), done.stderr
    assert json.loads(done.stdout)["metrics"]["acc_items"] == 12


def test_a_truncated_jpeg_is_named_and_exits_with_3(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data")
    whole = jpeg("RGB")
    (data / "val" / "3" / "cut.JPEG").write_bytes(whole[: len(whole) // 2])
    done = assay_run(tmp_path / "results", "--data", str(data))
    assert done.returncode == 3
    assert "3/cut.JPEG" in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_of_another_architecture_are_the_datas_fault(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(ROOT / "cases" / "vit_digits" / "weights", weights)
    config = json.loads((weights / "config.json").read_text())
    config["hidden_size"] *= 2
    (weights / "config.json").write_text(json.dumps(config))
    done = assay_run(tmp_path / "results", "--weights", str(weights))
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "[data]" in done.stderr


SYNTHETIC = ("--case", "vit_b_32", "--weights", "synthetic", "--data", "synthetic")


@pytest.mark.parametrize(
    "of", [(), pytest.param(SYNTHETIC, marks=pytest.mark.slow)], ids=["vit_digits", "vit_b_32"]
)
def test_a_rerun_reproduces_answers_to_the_bit_and_judges_no_smoke_runs_speed(
    of: tuple[str, ...], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    vendor = str(copy_of_cpu(tmp_path, validates=False))
    first = assay_run(results, *of, "--limit", TRIALS, VENDOR_PATH=vendor)
    assert first.returncode == 0, first.stderr
    (result,) = results.rglob("result.json")
    done = assay("rerun", results, "--result", str(result.parent), VENDOR_PATH=vendor)
    assert done.returncode == 8, done.stderr
    found = json.loads(done.stdout)
    assert found["kind"] == "rerun"
    assert found["original"]["job"] == found["rerun"]["job"]
    outcomes = {one["name"]: one["outcome"] for one in found["figures"]}
    assert outcomes == {
        "predictions": "reproduced",
        "accuracy": "reproduced",
        "p_infer_core": "inconclusive",
        "p_infer_whole": "inconclusive",
    }
    (figure,) = [one for one in found["figures"] if one["name"] == "predictions"]
    assert figure["reason"] == "identical"
