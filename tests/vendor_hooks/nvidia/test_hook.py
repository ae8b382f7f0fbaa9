"""NVIDIA's hook: the image's own libcuda goes first exactly where the host's driver is older."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOOK = ROOT / "vendor_hooks" / "nvidia" / "hook"
# As drivers of these branches print them; the second is of the open kernel module.
NVRM_470 = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.129.06  Thu May 12 22:52:02 UTC 2022
GCC version:  gcc version 9.4.0 (Ubuntu 9.4.0-1ubuntu1~20.04.1)
"""
NVRM_535 = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.129.03  Release Build  (dvs-builder@U16-I3)
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""
PYTHON = '#!/bin/sh\necho "${LD_LIBRARY_PATH-none} $*"\n'


@pytest.fixture
def compat(tmp_path: Path) -> Path:
    """Return a compatibility folder as NVIDIA's images have it, and a Python that tells what it got."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    folder = tmp_path / "compat"
    (folder / "lib.real").mkdir(parents=True)
    return folder


def library_path(compat: Path, version: str | None, **environment: str) -> str:
    reported = compat.parent / "version"
    if version is not None:
        reported.write_text(version, encoding="utf-8")
    done = subprocess.run(
        [str(HOOK), "infer", "/job"],
        env={
            "PATH": f"{compat.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "ASSAY_NVIDIA_VERSION": str(reported),
            "_CUDA_COMPAT_PATH": str(compat),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found, arguments = done.stdout.strip().split(" ", 1)
    assert arguments == "-B -m harness infer /job"
    return found


def test_an_older_driver_gets_the_images_libcuda_first(compat: Path) -> None:
    older = {"CUDA_DRIVER_VERSION": "520.61.05"}
    assert library_path(compat, NVRM_470, **older) == f"{compat}/lib.real"
    found = library_path(compat, NVRM_470, LD_LIBRARY_PATH="/usr/local/nvidia/lib", **older)
    assert found == f"{compat}/lib.real:/usr/local/nvidia/lib"


@pytest.mark.parametrize(
    ("version", "image"),
    [
        (NVRM_535, "530.30.02"),
        (NVRM_535, "535.54.03"),
        (NVRM_470, ""),
        (None, "530.30.02"),
        ("nothing of the kind\n", "530.30.02"),
    ],
    ids=["newer", "same branch", "no image of NVIDIA's", "no driver", "unknown words"],
)
def test_anything_else_keeps_the_hosts(compat: Path, version: str | None, image: str) -> None:
    assert library_path(compat, version, CUDA_DRIVER_VERSION=image) == "none"


def test_an_image_without_the_library_keeps_the_hosts(compat: Path) -> None:
    (compat / "lib.real").rmdir()
    assert library_path(compat, NVRM_470, CUDA_DRIVER_VERSION="520.61.05") == "none"
