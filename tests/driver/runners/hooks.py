"""Makes container specs with one-off hooks for runner tests."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from driver.models.base import StageName
from driver.runners.spec import ContainerSpec, InstalledStack, Places, Stacks, container_spec
from driver.system.driver_process import DriverProcess
from tests.driver.jobs import make_caller, make_case, make_job, make_vendor


def make_spec(
    home: Path, script: str, *, stage: StageName = StageName.INFER, **changes: Any
) -> ContainerSpec:
    """Return a spec whose hook is the sh script; its job has this process as its driver.

    ``changes`` replace fields of the spec; ``timeout_s`` and ``memory_bytes`` those of its limits.
    """
    folder = home / "work" / "job-1-0" / f"{stage.value}-0"
    names = ("out", "harness", "case", "hook", "data", "cache", "labels")
    paths = {name: folder / "places" / name for name in names}
    for path in paths.values():
        path.mkdir(parents=True, exist_ok=True)
    job_json = folder / "job.json"
    job_json.write_text("{}")
    write_hook(paths["hook"], script)
    limits = {name: changes.pop(name) for name in _LIMITS if name in changes}
    spec = container_spec(
        make_job(stage),
        Places(folder=folder, job_json=job_json, reference_hook=paths["hook"], **paths),
        vendor=make_vendor(),
        case=make_case(),
        stacks=Stacks(reference=_here(home), vendor=_here(home)),
        caller=make_caller(
            home, uid=os.geteuid(), gid=os.getegid(), process=DriverProcess.current()
        ),
    )
    return replace(spec, limits=replace(spec.limits, **limits), **changes)


_LIMITS = ("timeout_s", "memory_bytes", "processes")


def write_hook(folder: Path, script: str) -> None:
    """Write an executable sh hook."""
    hook = folder / "hook"
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def _here(home: Path) -> InstalledStack:
    """Return a virtual environment's folder whose Python is the tests' own."""
    venv = home / "venv"
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    python = venv / "bin" / "python3"
    if not python.exists():
        python.symlink_to(sys.executable)
    return InstalledStack(venv=venv)


def read_out(spec: ContainerSpec, name: str) -> str:
    """Return the text of a file that the hook wrote to out."""
    out = spec.source("out")
    assert out is not None
    return (out / name).read_text()


def nothing() -> None:
    """Do nothing on a tick."""
