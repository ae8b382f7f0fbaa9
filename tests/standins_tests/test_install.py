"""Putting a stand-in in place: into an environment, and as the installers that a Dockerfile expects."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.standins_tests import tiny_model
from tests.standins_tests.conftest import STANDINS
from tests.waiting import PATIENCE_S


def run(*words: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def make(kind: str, out: Path, *more: str) -> str:
    done = run(sys.executable, STANDINS / "make-installer", kind, out, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_install_puts_modules_on_the_path_and_programs_beside_python(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python3"
    done = run(
        sys.executable,
        STANDINS / "install",
        "nvidia",
        "--python",
        python,
        "--set",
        "tensorrt=8.5.1",
    )
    assert done.returncode == 0, done.stderr
    code = "import tensorrt; print(tensorrt.__version__, tensorrt.__assay_standin__)"
    # A hook replaces PYTHONPATH; what was installed is found all the same.
    own = ":".join(path for path in sys.path if path.endswith("site-packages"))
    assert run(python, "-c", code, PYTHONPATH=own).stdout == "8.5.1 True\n"
    program = tmp_path / "venv" / "bin" / "trtexec"
    assert (program.resolve().parent / "ASSAY-STANDIN").exists()
    tiny_model.write(tmp_path, batch=1)
    quick = ("--iterations=1", "--duration=0", "--warmUp=0")
    done = run(program, "--onnx=model.onnx", *quick, cwd=tmp_path, PYTHONPATH=own)
    assert "[TensorRT v8501]" in done.stdout, done.stderr
    assert done.returncode == 0
    # Nothing in the environment's Python is imported unasked but the hook on torch.
    names = run(python, "-c", "import sys; print('torch' in sys.modules, 'numpy' in sys.modules)")
    assert names.stdout.split()[0] == "False"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["acme"], "invalid choice: 'acme'"),
        (["nvidia", "--set", "tensorrt"], "--set takes NAME=VALUE"),
        (["nvidia", "--with", "absent"], "no such folder"),
    ],
)
def test_install_refuses(words: list[str], expected: str) -> None:
    done = run(sys.executable, STANDINS / "install", *words)
    assert done.returncode == 2
    assert expected in done.stderr


def test_cann_installer_lays_out_the_toolkit(tmp_path: Path) -> None:
    name = "Ascend-cann-toolkit_5.1.RC1_linux-x86_64.run"
    make("cann-toolkit", tmp_path / name, "--version", "5.1.RC1")
    target = tmp_path / "Ascend"
    refused = run(tmp_path / name, "--quiet", "--frobnicate")
    assert refused.returncode == 1
    assert "unsupported parameter: --frobnicate" in refused.stderr
    done = run(
        tmp_path / name, "--quiet", "--install", f"--install-path={target}", "--install-for-all"
    )
    assert done.returncode == 0, done.stderr
    assert "install success" in done.stdout
    tiny_model.write(tmp_path)
    script = (
        f"source {target}/ascend-toolkit/set_env.sh && atc --framework=5 --model=model.onnx "
        "--output=m --input_shape=image:2,3,8,8 --soc_version=Ascend710 && "
        "npu-smi info | grep --quiet '310P3 .* OK' && "
        f"{sys.executable} -c 'import acl; print(acl.__assay_standin__)'"
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run("bash", "-c", script, cwd=tmp_path, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("ATC run success, welcome to the next use.\nTrue\n")
    # The real set_env.sh is not safe under `set -u`, and neither is this one.
    unset = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
    strict = subprocess.run(
        ["bash", "-uc", script],
        cwd=tmp_path,
        env=unset,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "unbound variable" in strict.stderr


def test_cann_installer_is_a_script_for_bash_as_the_vendors_is(tmp_path: Path) -> None:
    name = tmp_path / "toolkit.run"
    make("cann-toolkit", name)
    assert name.read_bytes().startswith(b"#!/bin/bash\n")
    dash = shutil.which("dash")
    if dash is None:
        pytest.skip("no dash on this machine")
    done = run(dash, name, "--install", f"--install-path={tmp_path / 'Ascend'}")
    assert done.returncode != 0
    assert not (tmp_path / "Ascend").exists()


@pytest.mark.parametrize(("option", "others"), [((), 0), (("--install-for-all",), 0o5)])
def test_cann_is_readable_for_others_only_where_it_was_installed_for_all(
    tmp_path: Path, option: tuple[str, ...], others: int
) -> None:
    make("cann-toolkit", tmp_path / "toolkit.run")
    run(tmp_path / "toolkit.run", "--install", f"--install-path={tmp_path}", *option)
    atc = tmp_path / "ascend-toolkit" / "latest" / "bin" / "atc"
    assert atc.stat().st_mode & 0o7 == others


def test_wheels_are_wheels(tmp_path: Path) -> None:
    make("aclruntime", tmp_path)
    make("ais_bench", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "aclruntime-0.0.2-cp37-cp37m-linux_x86_64.whl",
        "ais_bench-0.0.2-py3-none-any.whl",
    }
    with zipfile.ZipFile(tmp_path / "ais_bench-0.0.2-py3-none-any.whl") as wheel:
        assert wheel.testzip() is None
        files = set(wheel.namelist())
        record = wheel.read("ais_bench-0.0.2.dist-info/RECORD").decode()
    assert "ais_bench/infer/interface.py" in files
    assert {line.split(",")[0] for line in record.splitlines()} == files


@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        ("xtcl", "xtcl/python/tvm/__init__.py"),
        ("xre", "xre/bin/xpu_smi"),
        ("benchmark", "benchmark/benchmark.x86_64"),
        ("ais_infer", "ais_infer/ais_infer.py"),
    ],
)
def test_tar_files_are_whole_and_always_the_same(tmp_path: Path, kind: str, inside: str) -> None:
    out = tmp_path / "a.tar.gz"
    said = make(kind, out)
    first = out.read_bytes()
    assert said.split()[0] == hashlib.sha256(first).hexdigest()
    make(kind, out)
    assert out.read_bytes() == first
    with tarfile.open(out) as archive:
        names = archive.getnames()
        # Somebody packed it who lets nobody else read: to unpack it is not enough.
        assert all(member.mode & 0o077 == 0 for member in archive if not member.issym())
    subprocess.run(["tar", "-xf", out, "-C", tmp_path], check=True)
    assert inside in names
    assert any(name.endswith("ASSAY-STANDIN") for name in names)
    if kind == "xre":
        done = run(sys.executable, tmp_path / inside, "-m")
        assert done.returncode == 0, done.stderr
