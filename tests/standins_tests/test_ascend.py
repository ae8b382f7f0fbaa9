"""The stand-ins of CANN: atc's flags and refusals, pyACL, ais_bench of two generations, benchmark."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS
from tests.waiting import PATIENCE_S
from vendor_hooks.ascend import ais_bench_output, benchmark_output

if TYPE_CHECKING:
    from tests.standins_tests.conftest import Import, Run

FLAGS = {
    "framework": "5",
    "model": "model.onnx",
    "output": "model",
    "input_format": "NCHW",
    "input_shape": "image:4,3,8,8",
    "soc_version": "Ascend310P3",
    "log": "error",
}
START = "ATC start working now, please wait for a moment.\n"


def convert(
    program: Run, changes: dict[str, str | None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    flags = {**FLAGS, **(changes or {})}
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return program("ascend", "atc", *words, **environment)


@pytest.fixture
def om(program: Run, tmp_path: Path) -> Path:
    """A model of batch 4, compiled in fp32."""
    tiny_model.write(tmp_path)
    done = convert(program, {"precision_mode": "must_keep_origin_dtype"})
    assert done.returncode == 0, done.stdout
    return tmp_path / "model.om"


# --- atc --------------------------------------------------------------------------------------
def test_atc_prints_what_the_real_one_prints_and_appends_om(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    done = convert(program)
    assert done.returncode == 0
    assert done.stdout == START + "ATC run success, welcome to the next use.\n"
    assert (tmp_path / "model.om").read_bytes().startswith(b"ASSAY-STANDIN-PROGRAM")


def test_atc_warns_behind_the_success_line(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, ASSAY_STANDIN_FAULT="warn")
    assert done.returncode == 0
    assert done.stdout.splitlines()[2].startswith("W11001")


@pytest.mark.parametrize(
    ("changes", "model", "expected"),
    [
        ({"soc_version": "310P3"}, {}, r"E10001: Value [310P3] for parameter [--soc_version]"),
        ({"soc_version": None}, {}, "E10007: [--soc_version] is required"),
        ({"framework": None}, {}, "E10007: [--framework] is required"),
        ({"framework": "3"}, {}, "E10007: [--framework]"),
        ({"model": "other.onnx"}, {}, "E10001: Value [other.onnx] for parameter [--model]"),
        ({"input_shape": None}, {}, "E10054: [--input_shape] is required"),
        ({"input_shape": "pixels:4,3,8,8"}, {}, "the model has no input of this name (image)"),
        ({"input_shape": "image:4,3,9,8"}, {}, "E10001: Value [(4, 3, 9, 8)]"),
        ({"input_shape": "image:many"}, {}, "E10001: Value [image:many]"),
        ({"input_shape": "image:-1,3,8,8"}, {}, "-1 needs --dynamic_batch_size"),
        ({"log": "loud"}, {}, "E10010: Value [loud] for parameter [--log]"),
        ({"precision_mode": "fp12"}, {}, "E10001: Value [fp12] for parameter [--precision_mode]"),
        ({"modify_mixlist": "ops.json"}, {}, "takes effect only with"),
        (
            {"modify_mixlist": "ops.json", "precision_mode": "allow_mix_precision"}, {},
            "it must be a JSON file",
        ),
        ({"output": "nowhere/model"}, {}, "the folder does not exist"),
        ({}, {"opset": 12}, "E19010: No parser is registered"),
        ({}, {"operator": "NotAnOperator"}, "E19010: No parser is registered for Op [NotAnOperator"),
    ],
)  # fmt: skip
def test_atc_refuses(
    program: Run,
    tmp_path: Path,
    changes: dict[str, str | None],
    model: dict[str, Any],
    expected: str,
) -> None:
    tiny_model.write(tmp_path, **model)
    done = convert(program, changes)
    assert done.returncode == 255
    assert done.stdout.startswith(START + "ATC run failed, Please check the detail log")
    assert expected in done.stdout
    assert not list(tmp_path.glob("*.om"))


@pytest.mark.parametrize(
    ("cann", "soc_version", "taken"),
    [
        ("5.1.RC1", "Ascend710", True),
        ("5.1.RC1", "Ascend310P3", True),
        ("5.1.RC1", "Ascend310", True),
        ("5.1.RC2", "Ascend710", False),
        ("5.1.RC2", "Ascend310P3", True),
        ("5.1.RC2", "Ascend310", True),
        ("5.1.RC2", "Ascend310P", False),
    ],
)
def test_atc_knows_the_chips_of_its_release(
    program: Run, tmp_path: Path, cann: str, soc_version: str, taken: bool
) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, {"soc_version": soc_version}, ASSAY_STANDIN_CANN=cann)
    assert (done.returncode == 0) is taken
    assert (f"E10001: Value [{soc_version}]" in done.stdout) is not taken


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, "E10056"),
        ({"precision_mode_v2": "force_fp16"}, "E10001: Value [force_fp16]"),
        ({"precision_mode_v2": "mixed_bfloat16"}, "does not support bfloat16"),
        ({"precision_mode_v2": "origin", "allow_hf32": "false"}, "Ascend310P3 does not support it"),
        ({"precision_mode_v2": "origin", "soc_version": "Ascend310"}, "E10001: Value [Ascend310]"),
    ],
)
def test_atc_of_cann_9_refuses(
    program: Run, tmp_path: Path, changes: dict[str, str | None], expected: str
) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, changes, ASSAY_STANDIN_CANN="9.1.0")
    assert done.returncode == 255
    assert expected in done.stdout


def test_atc_of_cann_5_does_not_know_the_newer_flag(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, {"precision_mode_v2": "fp16"})
    assert (done.returncode, "unknown command line flag" in done.stderr) == (1, True)


@pytest.mark.parametrize(("hf32", "precision"), [(None, "tf32"), ("false", "fp32")])
def test_a_910b_computes_hf32_unless_it_is_told_not_to(
    program: Run, tmp_path: Path, hf32: str | None, precision: str
) -> None:
    tiny_model.write(tmp_path)
    changes = {"precision_mode_v2": "origin", "soc_version": "Ascend910B4", "allow_hf32": hf32}
    done = convert(program, changes, ASSAY_STANDIN_CANN="9.1.0")
    assert done.returncode == 0, done.stdout
    assert f'"precision": "{precision}"'.encode() in (tmp_path / "model.om").read_bytes()


def test_atc_refuses_an_unknown_flag(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, {"frobnicate": "1"})
    assert done.returncode == 1
    assert "unknown command line flag 'frobnicate'" in done.stderr


def test_atc_refuses_an_onnx_cut_short(program: Run, tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    done = convert(program)
    assert done.returncode == 255
    assert "E19999: Inner Error!" in done.stdout


def test_atc_takes_a_mixlist_of_the_documented_form(program: Run, tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    lists = {"black-list": {"to-add": ["MatMul"]}, "white-list": {"to-remove": []}}
    (tmp_path / "ops_info.json").write_text(json.dumps(lists))
    done = convert(
        program, {"precision_mode": "allow_mix_precision", "modify_mixlist": "ops_info.json"}
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("fault", "returncode", "expected"),
    [("fail", 255, "EZ3003"), ("compile:oom", 255, "EL0004"), ("killed", -9, START)],
)
def test_atc_told_to_fail_fails(
    program: Run, tmp_path: Path, fault: str, returncode: int, expected: str
) -> None:
    tiny_model.write(tmp_path)
    done = convert(program, ASSAY_STANDIN_FAULT=fault)
    assert done.returncode == returncode
    assert expected in done.stdout


# --- pyACL ------------------------------------------------------------------------------------
@pytest.fixture
def acl(standin: Import) -> Any:
    module = standin("ascend", "acl")
    assert module.init() == 0
    assert module.rt.set_device(0) == 0
    _, ret = module.rt.create_context(0)
    assert ret == 0
    return module


def acl_run(acl: Any, path: Path, batch: Any, input_bytes: int | None = None) -> tuple[int, Any]:
    """Run one batch through pyACL as the documentation has it."""
    model, ret = acl.mdl.load_from_file(str(path))
    assert ret == 0
    desc = acl.mdl.create_desc()
    assert acl.mdl.get_desc(desc, model) == 0
    sizes = [acl.mdl.get_input_size_by_index(desc, 0), acl.mdl.get_output_size_by_index(desc, 0)]
    sizes[0] = input_bytes or sizes[0]
    pointers, datasets = [], []
    for size in sizes:
        pointer, ret = acl.rt.malloc(size, 0)
        assert ret == 0
        dataset = acl.mdl.create_dataset()
        _, ret = acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size))
        assert ret == 0
        pointers.append(pointer)
        datasets.append(dataset)
    source = acl.util.numpy_to_ptr(batch)
    assert acl.rt.memcpy(pointers[0], sizes[0], source, min(batch.nbytes, sizes[0]), 1) == 0
    ret = acl.mdl.execute(model, *datasets)
    dims, _ = acl.mdl.get_output_dims(desc, 0)
    out = np.zeros(dims["dims"], np.float32)
    acl.rt.memcpy(acl.util.numpy_to_ptr(out), out.nbytes, pointers[1], out.nbytes, 2)
    return ret, out


def test_acl_computes_what_the_model_computes(acl: Any, om: Path) -> None:
    batch = tiny_model.images(4)
    ret, out = acl_run(acl, om, batch)
    assert ret == 0
    np.testing.assert_allclose(out, tiny_model.reference(batch), atol=1e-5)


def test_force_fp32_multiplies_float16_and_adds_float32(
    program: Run, tmp_path: Path, acl: Any
) -> None:
    tiny_model.write(tmp_path)
    assert convert(program, {"precision_mode": "force_fp32"}).returncode == 0
    batch = tiny_model.images(4)
    ret, out = acl_run(acl, tmp_path / "model.om", batch)
    assert ret == 0
    matrix, bias = (array.astype(np.float64) for array in tiny_model.weights())
    halves = batch.reshape(4, -1).astype(np.float16).astype(np.float64)
    product = halves @ matrix.astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(out, product + bias, rtol=0, atol=1e-6)
    assert np.abs(out - tiny_model.reference(batch)).max() > 1e-5, "it is not fp32"


def test_acl_refuses_a_wrong_buffer_size(acl: Any, om: Path) -> None:
    ret, _ = acl_run(acl, om, tiny_model.images(4), input_bytes=100)
    assert ret == 145000


def test_acl_refuses_a_model_of_another_chip_a_cut_one_and_none(
    acl: Any, om: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert acl.mdl.load_from_file(str(om.with_name("absent.om"))) == (None, 145002)
    cut = om.with_name("cut.om")
    cut.write_bytes(om.read_bytes()[:-3])
    assert acl.mdl.load_from_file(str(cut)) == (None, 145006)
    monkeypatch.setenv("ASSAY_STANDIN_CHIP", "310")
    assert acl.mdl.load_from_file(str(om)) == (None, 500002)
    assert acl.get_soc_name() == "Ascend310"


def test_acl_needs_its_order_of_calls(standin: Import, om: Path) -> None:
    acl = standin("ascend", "acl")
    assert acl.rt.set_device(0) == 100001
    assert acl.mdl.load_from_file(str(om))[1] == 107002
    assert acl.init() == 0
    assert acl.init() == 100002
    assert acl.rt.set_device(7) == 107001
    assert acl.finalize() == 0


def test_acl_copies_of_a_stream_wait_for_it(acl: Any) -> None:
    stream, _ = acl.rt.create_stream()
    device, _ = acl.rt.malloc(8, 0)
    host, _ = acl.rt.malloc_host(8)
    ctypes.memset(host, 5, 8)
    assert acl.rt.memcpy_async(device, 8, host, 8, 1, stream) == 0
    assert acl.util.ptr_to_bytes(device, 8) == b"\xff" * 8
    assert acl.rt.synchronize_stream(stream) == 0
    assert acl.util.ptr_to_bytes(device, 8) == b"\x05" * 8
    assert acl.rt.memcpy(device, 8, host, 9, 1) == 100000


def test_acl_runs_out_of_memory(acl: Any, om: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert acl.rt.malloc(1 << 40, 0)[1] == 207001
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "oom")
    assert acl.mdl.load_from_file(str(om)) == (None, 245000)


def test_acl_told_to_fail_refuses_a_model(
    acl: Any, om: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STANDIN_FAULT", "load:fail")
    assert acl.mdl.load_from_file(str(om)) == (None, 545001)


# --- ais_bench --------------------------------------------------------------------------------
def test_infer_session_computes_and_tells_times(standin: Import, om: Path) -> None:
    interface = standin("ascend", "ais_bench.infer.interface")
    session = interface.InferSession(0, str(om))
    (port,) = session.get_inputs()
    assert (port.name, port.shape, port.realsize) == ("image", [4, 3, 8, 8], 4 * 192 * 4)
    batch = tiny_model.images(4)
    (out,) = session.infer([batch], mode="static")
    np.testing.assert_allclose(out, tiny_model.reference(batch), atol=1e-5)
    assert len(session.sumary().exec_time_list) == 1
    with pytest.raises(RuntimeError, match="input image has"):
        session.infer([batch[:3]])
    session.set_loop_count(3)
    session.infer([batch])
    assert len(session.sumary().exec_time_list) == 4
    session.finalize()


def ais_bench(
    program: Run, generation: str, tmp_path: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    if generation == "0.0.1":
        return program("ascend", "ais_infer.py", *arguments)
    path = f"{STANDINS / 'core'}:{STANDINS / 'ascend' / 'python'}"
    return subprocess.run(
        [sys.executable, "-B", "-m", "ais_bench", *arguments],
        cwd=tmp_path, env={"PYTHONPATH": path, "ASSAY_STANDIN_THREADS": "1"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("generation", ["0.0.1", "0.0.2"])
def test_ais_bench_runs_a_folder_pads_the_last_batch_and_sums_up(
    program: Run, om: Path, tmp_path: Path, generation: str
) -> None:
    batch = tiny_model.images(6)
    (tmp_path / "in").mkdir()
    for number, item in enumerate(batch):
        item.tofile(tmp_path / "in" / f"{number:06}.bin")
    done = ais_bench(
        program, generation, tmp_path,
        "--model", "model.om", "--input", "in", "--output", "out", "--outfmt", "NPY",
        "--batchsize", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = ais_bench_output.read(str(tmp_path / "out"), 4)
    assert summary.generation == generation
    spelling = "batchsize(4)" if generation == "0.0.1" else "batchsize.mean(4)"
    mean, rate = summary.compute.mean_ms, summary.device_rate
    assert f"throughput 1000*{spelling}/NPU_compute_time.mean({mean}): {rate}\n" in done.stdout
    outputs = sorted((tmp_path / "out").rglob("*.npy"))
    assert [path.name for path in outputs] == [f"{n:06}_0.npy" for n in range(6)]
    got = np.concatenate([np.load(path) for path in outputs])
    np.testing.assert_allclose(got, tiny_model.reference(batch), atol=1e-5)


def test_ais_bench_loops_over_executions_and_copies_a_batch_once(
    program: Run, om: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        tiny_model.images(4).tofile(tmp_path / "in" / f"{number}.bin")
    arguments = ("--model", "model.om", "--input", "in", "--output", "out", "--loop", "3")
    done = ais_bench(program, "0.0.2", tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = ais_bench_output.read(str(tmp_path / "out"), 4)
    assert summary.h2d is not None
    assert summary.d2h is not None
    counts = (summary.h2d.entries, summary.compute.entries, summary.d2h.entries)
    assert counts == (2, 6, 2)
    assert len(summary.compute_ms) == 6


def test_the_older_ais_bench_counts_nothing(program: Run, om: Path, tmp_path: Path) -> None:
    arguments = ("--model", "model.om", "--output", "out", "--batchsize", "4", "--loop", "3")
    assert ais_bench(program, "0.0.1", tmp_path, *arguments).returncode == 0
    summary = ais_bench_output.read(str(tmp_path / "out"), 4)
    assert (summary.compute.entries, summary.compute_ms) == (None, ())


def test_ais_bench_writes_text_and_binary(program: Run, om: Path, tmp_path: Path) -> None:
    tiny_model.images(4).tofile(tmp_path / "x.bin")
    for kind, suffix in (("TXT", "txt"), ("BIN", "bin")):
        done = ais_bench(
            program, "0.0.2", tmp_path,
            "--model", "model.om", "--input", "x.bin", "--output", kind, "--outfmt", kind,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        (path,) = (tmp_path / kind).rglob(f"x_0.{suffix}")
        got = np.loadtxt(path) if kind == "TXT" else np.fromfile(path, np.float32).reshape(4, 10)
        np.testing.assert_allclose(got, tiny_model.reference(tiny_model.images(4)), atol=1e-5)


def test_ais_bench_refuses_wrong_files_and_flags(program: Run, om: Path, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"12345")
    done = ais_bench(program, "0.0.2", tmp_path, "--model", "model.om", "--input", "x.bin")
    assert done.returncode == 1
    assert "Check_InputSize failed" in done.stdout
    old = ais_bench(program, "0.0.1", tmp_path, "--model", "model.om", "--warmup_count", "3")
    assert old.returncode == 2
    assert "unrecognized arguments: --warmup_count" in old.stderr


# --- benchmark.x86_64 -------------------------------------------------------------------------
def benchmark_arguments(tmp_path: Path, count: int) -> list[str]:
    lines = []
    for number, item in enumerate(tiny_model.images(count)):
        path = tmp_path / f"{number:06}.bin"
        item.tofile(path)
        lines.append(f"{number} {path} 8 8\n")
    (tmp_path / "prep.info").write_text("".join(lines))
    return [
        "-model_type=vision", "-device_id=0", "-batch_size=4", "-om_path=model.om",
        "-input_text_path=prep.info", "-input_width=8", "-input_height=8", "-useDvpp=False",
    ]  # fmt: skip


def test_benchmark_writes_outputs_and_a_performance_file(
    program: Run, om: Path, tmp_path: Path
) -> None:
    arguments = benchmark_arguments(tmp_path, 6)
    done = program("ascend", "benchmark.x86_64", *arguments, "-output_binary=True")
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "result" / "perf_vision_batchsize_4_device_0.txt"
    assert benchmark_output.parse_file_name(path.name).batch_size == 4
    summary = benchmark_output.parse(path.read_text())
    assert summary.items == 6
    assert summary.module_rates["post"] == pytest.approx(2 / summary.wall_s, rel=1e-3)
    folder = tmp_path / "result" / "dumpOutput_device0"
    got = [np.fromfile(folder / f"{n:06}_1.bin", np.float32) for n in range(6)]
    np.testing.assert_allclose(got, tiny_model.reference(tiny_model.images(6)), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("-frobnicate=1", "unknown parameter -frobnicate=1"),
        ("-batch_size=2", "batch_size 2 is not the model's, 4"),
        ("-input_width=9", "not -input_width x -input_height"),
        ("-om_path=absent.om", "is not there"),
    ],
)
def test_benchmark_refuses(
    program: Run, om: Path, tmp_path: Path, change: str, expected: str
) -> None:
    name = change.split("=", maxsplit=1)[0]
    arguments = [a for a in benchmark_arguments(tmp_path, 4) if not a.startswith(f"{name}=")]
    done = program("ascend", "benchmark.x86_64", *arguments, change)
    assert done.returncode == 1
    assert expected in done.stdout + done.stderr


def test_every_module_says_what_it_is(standin: Import) -> None:
    for name in ("acl", "aclruntime", "ais_bench", "ais_bench.infer.interface"):
        assert standin("ascend", name).__assay_standin__ is True
