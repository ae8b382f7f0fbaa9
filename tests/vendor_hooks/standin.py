"""Pythons in which a vendor's stand-in SDK is installed, on the packages of the cpu stack."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT
from tests.shared import made_once
from tests.vendor_hooks.reference.stack import reference_stack

STANDINS = ROOT / "tests" / "standins"
SITE = "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))"


def standin_python(vendor: str, **settings: str) -> Path:
    """Return a Python of its own with the stand-in of ``vendor``; skips where the cpu stack is missing.

    ``settings`` are the stand-in's (tests/standins/README.md): ``tensorrt="8.5.1"``, ``chip="T4"``.
    """
    base, reason = cpu_stack()
    if base is None:
        pytest.skip(reason)
    return _install(base, vendor, tuple(sorted(settings.items())))


@cache
def _install(base: Path, vendor: str, settings: tuple[tuple[str, str], ...]) -> Path:
    name = "-".join([vendor, *(f"{key}={value}" for key, value in settings)])
    folder = made_once(
        f"python-{name.replace(' ', '_')}", lambda folder: _make(base, vendor, settings, folder)
    )
    return folder / "bin" / "python3"


def _make(base: Path, vendor: str, settings: tuple[tuple[str, str], ...], folder: Path) -> None:
    subprocess.run([str(base), "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python3"
    # The cpu stack stays as it is: its packages are only read.
    packages = Path(_site(base))
    Path(_site(python), "cpu-stack.pth").write_text(f"{packages}\n", encoding="utf-8")
    options = [word for name, value in settings for word in ("--set", f"{name}={value}")]
    subprocess.run(
        [sys.executable, str(STANDINS / "install"), vendor, "--python", str(python), *options],
        check=True,
        capture_output=True,
    )


def is_standin(python: Path) -> bool:
    """Return whether a Python has a vendor's stand-in."""
    return (python.parents[1] / "assay-standins").is_dir()


@cache
def with_reference_stack(python: Path) -> Path:
    """Let ``python`` import the reference stack too, for packages that a vendor's stack pins (onnx)."""
    reference, reason = reference_stack()
    if reference is None:
        pytest.skip(reason)
    Path(_site(python), "reference.pth").write_text(f"{_site(reference)}\n", encoding="utf-8")
    return python


@cache
def _site(python: Path) -> str:
    done = subprocess.run([str(python), "-c", SITE], check=True, capture_output=True, text=True)
    found: str = json.loads(done.stdout)
    return found
