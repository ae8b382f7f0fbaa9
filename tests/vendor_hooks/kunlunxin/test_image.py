"""The build step that looks whether XRE loads on a base: run as it stands, on libraries made for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from driver.check.dockerfile import parse_dockerfile
from tests.harness.job_folder import ROOT

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on this machine")

DOCKERFILE = ROOT / "images" / "kunlunxin" / "xtcl2.0" / "Dockerfile"
NEWER = "NEW_2.31 { global: answer; };"


def library(path: Path, code: str, *more: str) -> Path:
    source = path.with_suffix(".c")
    source.write_text(code, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "-o", str(path), str(source), *more]
    subprocess.run(command, check=True, capture_output=True)
    source.unlink()
    return path


@pytest.fixture
def xre(tmp_path: Path) -> Path:
    """Return an unpacked XRE whose library loads anywhere."""
    for folder in ("bin", "so"):
        (tmp_path / "xre" / folder).mkdir(parents=True)
    (tmp_path / "xre" / "bin" / "xpu_smi").write_text("#!/bin/sh\n", encoding="utf-8")
    library(tmp_path / "xre" / "so" / "libxpurt.so.1", "int one(void) { return 1; }")
    return tmp_path / "xre"


def looked_at(xre: Path) -> subprocess.CompletedProcess[str]:
    steps = parse_dockerfile(DOCKERFILE.read_text(encoding="utf-8"))
    (step,) = (one.text for one in steps if one.word == "RUN" and "ldd" in one.text)
    script = step.replace("/opt/xre", str(xre))
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


def test_libraries_that_load_are_let_through(xre: Path) -> None:
    done = looked_at(xre)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_library_for_a_newer_base_ends_the_build_and_is_named(xre: Path, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.write_text(NEWER, encoding="utf-8")
    base = xre / "so" / "libbase.so"
    code, name = "int answer(void) { return 1; }", f"-Wl,-soname,{base.name}"
    library(base, code, name, f"-Wl,--version-script={versions}")
    user = "int answer(void); int ask(void) { return answer(); }"
    library(xre / "so" / "libxpuml.so.1", user, str(base))
    assert looked_at(xre).returncode == 0
    versions.write_text(NEWER.replace("2.31", "2.28"), encoding="utf-8")
    library(base, code, name, f"-Wl,--version-script={versions}")
    done = looked_at(xre)
    assert done.returncode == 1
    assert "version `NEW_2.31' not found" in done.stdout
    assert "XRE does not load on this base" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("name", "code"), [("libgone.so", 1), ("libxpudriver.so", 0)])
def test_a_missing_library_ends_it_unless_it_is_the_host_drivers(
    xre: Path, tmp_path: Path, name: str, code: int
) -> None:
    lost = library(tmp_path / name, "int lost(void) { return 1; }", f"-Wl,-soname,{name}")
    user = "int lost(void); int ask(void) { return lost(); }"
    library(xre / "so" / "libxpuml.so.1", user, str(lost))
    lost.unlink()
    done = looked_at(xre)
    assert done.returncode == code
    assert (name in done.stdout) is bool(code)
