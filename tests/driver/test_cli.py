"""The command line as a person meets it: clear refusals with their exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def assay(
    *arguments: str, home: Path | None = None, **env: str
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
        check=False,
        timeout=60,
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
        (["run", "--bs", "x"], "BS=x is not a whole number"),
        (["run", "--format", "xml"], "unknown format 'xml'"),
        (["run", "--tier", "official", "--limit", "3"], "takes no LIMIT"),
        (["rnu"], "rnu"),
        (["run", "--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_said_with_a_way_out_and_exit_code_2(
    arguments: list[str], said: str
) -> None:
    done = assay(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_absent_weights_name_both_ways_out_and_exit_with_3(tmp_path: Path) -> None:
    done = assay(
        "run", "--case", "vit_b_32", "--data", "synthetic", home=tmp_path, HF_HOME=str(tmp_path)
    )
    assert done.returncode == 3
    assert "WEIGHTS=synthetic" in done.stderr
    assert "WEIGHTS=<folder or file>" in done.stderr


def test_no_docker_although_asked_for_exits_with_3(tmp_path: Path) -> None:
    done = assay(
        "run", "--runner", "docker", home=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock"
    )
    assert done.returncode == 3
    assert "RUNNER=process" in done.stderr


def test_a_setting_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    done = assay("list", VENDOR_PATH=str(tmp_path))
    assert done.returncode == 2
    assert "has no vendor.toml" in done.stderr


def test_json_is_the_only_thing_on_standard_output() -> None:
    done = assay("list", "--format", "json")
    assert done.returncode == 0
    assert "vit_digits" in json.loads(done.stdout)["cases"]


def test_the_list_names_short_names_and_engines() -> None:
    done = assay("list")
    assert "vit_l_16" in done.stdout
    assert "onnxruntime (fp32)" in done.stdout
