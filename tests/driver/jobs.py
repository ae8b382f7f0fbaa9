"""Jobs, manifests and callers for tests: valid, small, and nothing in them is special."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from driver.models.base import RunnerName, StageName
from driver.models.case import CaseManifest
from driver.models.job import JobFile
from driver.models.vendor import VendorManifest
from driver.runners.spec import Caller
from driver.system.driver_process import DriverProcess

THIS_DRIVER = DriverProcess(pid=4711, start=99, host="lab/1", boot="b", namespace="pid:[1]")


def make_job(
    stage: StageName = StageName.INFER, runner: RunnerName = RunnerName.DOCKER, **changes: Any
) -> JobFile:
    """Return a valid job.json of ``tiny`` on the vendor ``acme``."""
    values: dict[str, Any] = {
        "job": {
            "id": "0123456789abcdef",
            "case": "tiny",
            "vendor": "acme",
            "stack": "v1",
            "engine": "turbo",
            "chip": "one",
            "precision": "fp32",
            "batch_size": 4,
            "tier": "smoke",
            "runner": runner,
        },
        "stage": stage,
        "inputs": [{"name": "x", "shape": [3, 8, 8]}],
        "outputs": [{"name": "y", "shape": [10]}],
        "task": "image-classification",
        "metric": "top1",
        "export": {},
        "arithmetic": "fp32",
        "measure": {"min_seconds": 1.0, "repeats": 1},
        "golden_count": 8,
        "weights": "synthetic",
        "data": "synthetic",
        "threads": 2,
    }
    return JobFile.model_validate(values | changes)


def make_case(bundled: str | None = None, **run: Any) -> CaseManifest:
    """Return a valid case.toml; ``bundled`` is its dataset's folder, ``run`` goes to its [run]."""
    return CaseManifest.model_validate(
        {
            "schema": "assay/case/1",
            "name": "tiny",
            "title": "Tiny",
            "task": "image-classification",
            "model": {
                "architecture": "Tiny",
                "inputs": [{"name": "x", "shape": [3, 8, 8]}],
                "outputs": [{"name": "y", "shape": [10]}],
                "parameters": 1,
                "macs": 1,
                "macs_scope": "all",
            },
            "weights": {"formats": []},
            "data": {"dataset": "d", "layout": "imagefolder", "count": 8, "bundled": bundled},
            "metric": {"name": "top1"},
            "gate": {"relative_drop": 0.01, "reason": "rounding"},
            "run": {"batch_size": 4} | run,
        }
    )


def make_vendor(
    devices: dict[str, Any] | None = None, engines: dict[str, dict[str, Any]] | None = None
) -> VendorManifest:
    """Return a valid vendor.toml with the engines ``turbo`` (ONNX) and ``eager`` (weights)."""
    precision = {"fp32": {"arithmetic": "fp32", "env": {"TURBO_MATH": "strict"}}}
    plain = {"stacks": ["v1"], "precisions": precision, "default_precision": "fp32"}
    named = {"turbo": {}, "eager": {"needs": "weights"}} | (engines or {})
    return VendorManifest.model_validate(
        {
            "schema": "assay/vendor/1",
            "name": "acme",
            "title": "Acme",
            "default_stack": "v1",
            "default_engine": "turbo",
            "default_chip": "one",
            "engines": {name: plain | changes for name, changes in named.items()},
            "chips": {"one": {"title": "One"}},
            "devices": devices or {},
        }
    )


def make_caller(
    home: Path = Path("/home/u/.assay"),
    *,
    uid: int = 1000,
    gid: int = 100,
    process: DriverProcess = THIS_DRIVER,
) -> Caller:
    """Return a caller on a machine with 64 GiB."""
    return Caller(uid=uid, gid=gid, memory_bytes=64 << 30, home=home, process=process)
