"""Where other Pythons than this one are: a real 3.7, and the environments of the stacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from driver.stacks.environments import LOCK_DIGITS
from driver.stacks.locks import lock_sha256
from driver.system.file_lock import locked
from tests.harness.job_folder import ROOT
from tests.waiting import PATIENCE_S

HOME = Path(os.environ.get("ASSAY_HOME") or ROOT / ".assay")

PY37_PACKAGES = ("numpy==1.21.6", "Pillow==9.5.0", "simplejpeg==1.7.3", "pytest==7.4.4")
"""The newest that still have wheels for Python 3.7."""


@cache
def python37() -> tuple[Path | None, str]:
    """Return a Python 3.7 with what the guest needs, or None and why there is none.

    ASSAY_PY37, ``python3.7`` on PATH and pyenv's folder are searched; an environment is made from
    the first that works and kept in .assay.
    """
    base = next((found for found in _candidates() if _version_of(found) == "3.7"), None)
    if base is None:
        return None, "no Python 3.7: `pyenv install 3.7`, or set ASSAY_PY37 to one"
    if _has_packages(base):
        return base, ""
    # Tests run in several processes: one makes it, the others wait.
    with locked(HOME / "tests-py37.lock"):
        return _environment(base, HOME / "tests-py37")


def _candidates() -> list[Path]:
    named = [os.environ.get("ASSAY_PY37"), shutil.which("python3.7")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return [Path(name) for name in named if name] + sorted(pyenv.glob("3.7*/bin/python3"))


def _version_of(python: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(python), "-c", code],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _has_packages(python: Path) -> bool:
    done = subprocess.run(
        [str(python), "-c", "import numpy, PIL, pytest"], capture_output=True, check=False
    )
    return done.returncode == 0


def _environment(base: Path, folder: Path) -> tuple[Path | None, str]:
    python = folder / "bin" / "python3"
    if python.exists() and _has_packages(python):
        return python, ""
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [str(base), "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *PY37_PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["?"])[-1]
            return None, f"no environment for Python 3.7 could be made: {last}"
    return python, ""


FINDS = "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))"
"""Importing torch would take seconds, in every process of the tests."""


def stack_python(folder: Path, variable: str, *packages: str) -> tuple[Path | None, str]:
    """Return the Python of a stack's environment, or None and how to have one.

    ``variable`` names another Python; else it is the environment of the stack's lock as it is now (one
    of an older lock would lack what was added since). It has to have the ``packages``.
    """
    name = f"{folder.name}-{lock_sha256(folder / 'requirements.lock')[:LOCK_DIGITS]}"
    named = os.environ.get(variable)
    python = Path(named) if named else HOME / "venvs" / name / "bin" / "python3"
    if python.exists():
        command = [str(python), "-c", FINDS, *packages]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            return python, ""
    return None, f"the stack {folder.name} is not installed: `make run` once, or set {variable}"


@cache
def cpu_stack() -> tuple[Path | None, str]:
    """Return the Python of the cpu vendor's environment, or None and how to have one."""
    folder = ROOT / "images" / "cpu" / "ort1.31-torch2.13"
    return stack_python(folder, "ASSAY_CPU_PYTHON", "onnxruntime", "torch")
