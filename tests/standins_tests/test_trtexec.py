"""The stand-in of trtexec: what its generations print parses as theirs, and what they refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.standins_tests import tiny_model
from vendor_hooks.nvidia import trtexec_output

if TYPE_CHECKING:
    from tests.standins_tests.conftest import Run

QUICK = ("--iterations=10", "--duration=0", "--warmUp=0")


@pytest.mark.parametrize(
    ("version", "generation", "printed_version", "percentiles"),
    [
        ("7.2.3", "7.x", None, {99}),
        ("8.2.1", "8.0-8.2", "8.2.1", {99}),
        ("8.4.3", "8.4+", "8.4.3", {99}),
        ("8.5.1", "8.4+", "8.5.1", {90, 95, 99}),
        ("8.6.1", "8.4+", "8.6.1", {90, 95, 99}),
        ("10.3.0", "8.4+", "10.3.0", {90, 95, 99}),
        ("10.13.0", "8.4+", "10.13.0", {90, 95, 99}),
        ("11.1.0", "8.4+", "11.1.0", {90, 95, 99}),
    ],
)
def test_each_generation_prints_its_own_format(
    program: Run, tmp_path: Path, version: str, generation: str, printed_version: str | None,
    percentiles: set[int],
) -> None:  # fmt: skip
    tiny_model.write(tmp_path)
    done = program(
        "nvidia", "trtexec", "--onnx=model.onnx", "--shapes=image:4x3x8x8", "--noTF32", *QUICK,
        "--exportTimes=times.json", ASSAY_STANDIN_TENSORRT=version,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = trtexec_output.parse(done.stdout)
    assert (summary.generation, summary.version, summary.passed) == (
        generation,
        printed_version,
        True,
    )
    assert set(summary.timings["latency"].percentiles_ms) == percentiles
    assert summary.queries == 10
    times = trtexec_output.parse_times((tmp_path / "times.json").read_text())
    assert len(times) == 10
    assert set(times[0]) >= {"h2d_ns", "compute_ns", "d2h_ns", "latency_ns"}


@pytest.mark.parametrize(
    ("version", "banner"),
    [
        ("7.2.3", "TensorRT.trtexec #"),
        ("8.6.1", "TensorRT.trtexec [TensorRT v8601] #"),
        ("10.3.0", "TensorRT.trtexec [TensorRT v100300] #"),
        ("10.4.0", "TensorRT.trtexec [TensorRT v100400] [b21] #"),
        ("10.13.0", "TensorRT.trtexec [TensorRT v101300] [b21] #"),
    ],
)
def test_the_banner_has_a_build_number_from_10_4(program: Run, version: str, banner: str) -> None:
    done = program("nvidia", "trtexec", "--help", ASSAY_STANDIN_TENSORRT=version)
    assert f"&&&& RUNNING {banner} trtexec --help" in done.stdout


@pytest.mark.parametrize(
    ("version", "keys", "has_warm_up"),
    [
        ("7.2.3", {"inMs", "outMs", "startInMs", "endOutMs", "endToEndMs"}, True),
        ("8.2.1", {"h2dMs", "d2hMs", "startH2dMs", "endD2hMs", "endToEndMs"}, True),
        ("8.4.3", {"h2dMs", "d2hMs", "startH2dMs", "endD2hMs"}, True),
        ("8.5.1", {"h2dMs", "d2hMs", "startH2dMs", "endD2hMs"}, False),
    ],
)
def test_exported_times_are_those_of_the_version(
    program: Run, tmp_path: Path, version: str, keys: set[str], has_warm_up: bool
) -> None:
    tiny_model.write(tmp_path)
    done = program(
        "nvidia", "trtexec", "--onnx=model.onnx", "--shapes=image:4x3x8x8", "--iterations=10",
        "--duration=0", "--warmUp=100", "--exportTimes=times.json", ASSAY_STANDIN_TENSORRT=version,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "times.json").read_text())
    either = {"inMs", "outMs", "startInMs", "endOutMs", "h2dMs", "d2hMs", "startH2dMs", "endD2hMs"}
    assert set(rows[0]) & (either | {"endToEndMs"}) == keys
    counted = [row for row in rows if row["startComputeMs"] >= 100]
    # One more where a query of the warm-up began a rounding before its end.
    assert len(counted) == pytest.approx(trtexec_output.parse(done.stdout).queries, abs=1)
    assert (len(rows) > len(counted)) is has_warm_up


def test_it_measures_as_long_as_asked_by_its_own_clock(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    began_s = time.monotonic()
    done = program(
        "nvidia", "trtexec", "--onnx=model.onnx", "--shapes=image:4x3x8x8", "--iterations=1",
        "--duration=200", "--warmUp=0", ASSAY_STANDIN_CLOCK_RATE="2000",
    )  # fmt: skip
    took_s = time.monotonic() - began_s
    assert done.returncode == 0, done.stderr
    wall_s = trtexec_output.parse(done.stdout).wall_s
    assert wall_s is not None
    assert took_s < 200 <= wall_s


@pytest.mark.parametrize(
    ("version", "option"),
    [
        ("8.6.1", "--frobnicate"),
        ("8.6.1", "--buildOnly"),
        ("8.5.1", "--skipInference"),
        ("8.2.1", "--memPoolSize=workspace:1024"),
        ("10.3.0", "--workspace=1024"),
        ("8.6.1", "--bf16"),
        ("11.1.0", "--fp16"),
        ("10.16.1", "--includeDataTransfers"),
        ("7.2.3", "--timingCacheFile=x"),
    ],
)
def test_option_that_a_version_does_not_know_is_refused(
    program: Run, tmp_path: Path, version: str, option: str
) -> None:
    tiny_model.write(tmp_path)
    done = program("nvidia", "trtexec", "--onnx=model.onnx", option, ASSAY_STANDIN_TENSORRT=version)
    assert done.returncode == 1
    assert f"[E] Unknown option: {option.split('=', maxsplit=1)[0]}" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("&&&& FAILED TensorRT.trtexec")


def test_11_leaves_copies_out_unless_it_is_told(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    arguments = ("--onnx=model.onnx", "--shapes=image:4x3x8x8", "--exportTimes=times.json", *QUICK)
    copies = {}
    for more in ((), ("--includeDataTransfers",)):
        done = program("nvidia", "trtexec", *arguments, *more, ASSAY_STANDIN_TENSORRT="11.1.0")
        assert done.returncode == 0, done.stderr
        rows = json.loads((tmp_path / "times.json").read_text())
        copies[more] = sum(row["h2dMs"] + row["d2hMs"] for row in rows)
    assert copies[()] == 0 < copies["--includeDataTransfers",]


def test_static_model_with_shapes_is_refused(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path, batch=4)
    done = program("nvidia", "trtexec", "--onnx=model.onnx", "--shapes=image:4x3x8x8", *QUICK)
    assert done.returncode == 1
    errors = trtexec_output.errors(done.stderr)
    assert errors[0].startswith("Static model does not take explicit shapes")


def test_unknown_input_is_refused_since_8_2_and_ignored_before(
    program: Run, tmp_path: Path
) -> None:
    tiny_model.write(tmp_path)
    arguments = ("--onnx=model.onnx", "--shapes=pixels:4x3x8x8", *QUICK)
    new = program("nvidia", "trtexec", *arguments)
    assert new.returncode == 1
    assert 'Cannot find input tensor with name "pixels"' in new.stderr
    old = program("nvidia", "trtexec", *arguments, ASSAY_STANDIN_TENSORRT="7.2.3")
    assert old.returncode == 0
    assert "Automatically overriding shape to: 1x3x8x8" in old.stderr


def test_onnx_cut_short_is_refused(program: Run, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    done = program("nvidia", "trtexec", "--onnx=model.onnx", *QUICK)
    assert done.returncode == 1
    assert "Failed to parse ONNX model" in done.stderr


def test_loaded_inputs_are_used_and_outputs_are_exact(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path, batch=3)
    batch = tiny_model.images(3)
    batch.tofile(tmp_path / "image.bin")
    done = program(
        "nvidia", "trtexec", "--onnx=model.onnx", "--noTF32", "--loadInputs=image:image.bin",
        "--exportOutput=out.json", "--saveEngine=model.engine", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["dimensions"] == "3x10"
    got = np.asarray(row["values"]).reshape(3, 10)
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)
    again = program("nvidia", "trtexec", "--loadEngine=model.engine", *QUICK)
    assert again.returncode == 0
    other = program(
        "nvidia", "trtexec", "--loadEngine=model.engine", *QUICK, ASSAY_STANDIN_CHIP="T4"
    )
    assert other.returncode == 1
    assert "incompatible device" in other.stderr
    (tmp_path / "image.bin").write_bytes(b"short")
    wrong = program(
        "nvidia", "trtexec", "--loadEngine=model.engine", "--loadInputs=image:image.bin", *QUICK
    )
    assert wrong.returncode == 1
    assert "Cannot read 2304 bytes" in wrong.stderr


@pytest.mark.parametrize(
    ("fault", "returncode"), [("fail", 1), ("compile:oom", 1), ("killed", -9), ("crash", -6)]
)
def test_told_to_fail_it_fails(program: Run, tmp_path: Path, fault: str, returncode: int) -> None:
    tiny_model.write(tmp_path, batch=1)
    done = program("nvidia", "trtexec", "--onnx=model.onnx", *QUICK, ASSAY_STANDIN_FAULT=fault)
    assert done.returncode == returncode
