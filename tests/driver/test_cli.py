"""The command line: clear errors with their exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def assay(
    *arguments: str, home: Path | None = None, encoding: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ASSAY_")}
    if home is not None:
        clean["ASSAY_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "driver", *arguments],
        cwd=ROOT,
        env=clean | env,
        capture_output=True,
        text=True,
        encoding=encoding,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--case", "vit_digts"], "unknown case 'vit_digts' (did you mean vit_digits?)"),
        (["run", "--vendor", "cpus"], "unknown vendor 'cpus' (did you mean cpu?)"),
        (["run", "--stack", "ort9"], "unknown stack of vendor cpu 'ort9'"),
        (["run", "--engine", "onnx"], "(did you mean onnxruntime?)"),
        (
            ["run", "--precision", "fp23"],
            "unknown precision of cpu onnxruntime 'fp23' (did you mean fp32?)",
        ),
        (["run", "--bs", "0"], "BS=0 is not a whole number"),
        (["run", "--bs", "-1"], "BS=-1 is not a whole number"),
        (["run", "--device", "7"], "DEVICE=7 does not exist: cpu runs on this host's processor"),
        (["run", "--bs", "x"], "BS=x is not a whole number"),
        (["run", "--format", "xml"], "unknown format 'xml'"),
        (["run", "--tier", "official", "--limit", "3"], "takes no LIMIT"),
        (["rnu"], "rnu"),
        (["run", "--no-such-option"], "--no-such-option"),
        (["run", "--vendr", "cpu"], "no option VENDR (did you mean VENDOR?)"),
        (["run", "--steps", "3"], "case vit_digits has no option STEPS"),
        (["run", "--steps=3"], "it has no options of its own"),
        (["run", "--case", "sd", "--stepps", "3"], "(did you mean STEPS?)"),
        (["run", "--case", "sd", "--stepps", "3"], "its options are STEPS, PROMPTS"),
        (["run", "--case", "sd", "--steps", "0"], "STEPS=0 is not a whole number, at least 1"),
        (["run", "vit_digits"], "'vit_digits' is not an option with"),
        (["list", "--vendr", "cpu"], "No such option: --vendr"),
        (["report", "--synthetics"], "(did you mean --synthetic?)"),
    ],
)
def test_wrong_usage_has_a_remedy_and_exit_code_2(arguments: list[str], said: str) -> None:
    done = assay(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_missing_weights_have_two_remedies_and_exit_code_3(tmp_path: Path) -> None:
    done = assay(
        "run", "--case", "vit_b_32", "--data", "synthetic", home=tmp_path, HF_HOME=str(tmp_path)
    )
    assert done.returncode == 3
    assert "driver/assay run --case vit_b_32 --data synthetic --weights synthetic" in done.stderr
    assert "--weights <folder or file>" in done.stderr


def test_missing_docker_has_exit_code_3(tmp_path: Path) -> None:
    done = assay(
        "run", "--runner", "docker", home=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock"
    )
    assert done.returncode == 3
    assert "driver/assay run --runner process" in done.stderr


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    done = assay("list", VENDOR_PATH=str(tmp_path))
    assert done.returncode == 2
    assert "has no vendor.toml" in done.stderr


def test_json_is_the_only_thing_on_standard_output() -> None:
    done = assay("list", "--format", "json")
    assert done.returncode == 0
    assert "vit_digits" in json.loads(done.stdout)["cases"]


def test_the_list_has_short_names_and_engines() -> None:
    done = assay("list")
    assert "vit_l_16" in done.stdout
    assert "onnxruntime (fp32, int8)" in done.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("published",), 0),
        (("list", "--format", "json"), 0),
        (("--help",), 0),
        (("run", "--case", "nope"), 2),
        (("check", "--case", "vit_digits", "--runner", "none"), 0),
    ],
)
def test_a_reader_that_goes_away_changes_no_exit_code(words: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-m", "driver", *words]
    gone, ours = os.pipe()
    os.close(gone)
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=ours, stderr=ours, check=False, timeout=PATIENCE_S
        )
    finally:
        os.close(ours)
    assert done.returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_errors_that_nobody_can_read_keep_their_exit_code() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "driver", "nope"],
            cwd=ROOT,
            stderr=full,
            check=False,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 2


@pytest.mark.parametrize(("given", "missing"), [((), "A"), (("--a", "results"), "B")])
def test_compare_names_the_side_that_is_missing(given: tuple[str, ...], missing: str) -> None:
    done = assay("compare", *given)
    assert done.returncode == 2
    assert f"compare needs two sides, and {missing} is missing" in done.stderr
    option = f"--{missing.lower()}"
    assert f"{option} <result or folder of results>" in done.stderr
