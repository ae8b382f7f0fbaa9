"""A job folder for a vendor of the tree, with everything that its vendor.toml says, and a tiny graph."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from driver.catalog.manifests import read_manifest
from driver.models.vendor import VendorManifest
from driver.system.hashing import file_sha256
from tests.cores import ONE_BLAS_THREAD
from tests.harness.forks import EVERY_STAGE, WITH_TORCH, forked_stage
from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import CLASSES, ROOT, SIDE, JobFolder, colours
from tests.shared import made_once
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.standin import is_standin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from driver.models.report import Measurement
    from tests.harness.job_folder import Outcome

CASE = Path(__file__).parent / "case"


def manifest(vendor: str) -> VendorManifest:
    """Return the vendor.toml of a vendor, or as one of its stacks with tables of its own sees it: amd/rocm7."""
    name, _, stack = vendor.partition("/")
    return _whole_manifest(name).of_stack(stack)


@cache
def _whole_manifest(name: str) -> VendorManifest:
    return read_manifest(ROOT / "vendor_hooks" / name / "vendor.toml", VendorManifest)


def vendor_job(
    folder: Path,
    vendor: str,
    engine: str,
    *,
    precision: str | None = None,
    chip: str | None = None,
    stack: str | None = None,
    batch_size: int = 4,
    runner: str = "process",
    **changes: Any,
) -> JobFolder:
    """Return a job of ``engine`` with its manifest's options and a graph of the opset that it asks for.

    ``vendor`` is as for ``manifest``.
    """
    vendor_toml = manifest(vendor)
    name = vendor.partition("/")[0]
    spec = vendor_toml.engines[engine]
    precision = precision or spec.default_precision
    chip = chip or vendor_toml.default_chip
    settings: dict[str, Any] = {
        "engine_options": spec.options,
        "precision_options": spec.precisions[precision].options,
        "chip_options": vendor_toml.chips[chip].options,
        "arithmetic": spec.precisions[precision].arithmetic,
        "export": spec.export.model_dump(),
        "engine_needs": spec.needs,
        "harness_engine": spec.harness_engine,
        "quantize": _quantize(spec.precisions[precision].quantize),
    }
    framework = vendor_toml.engines.get(str(changes.get("validate_engine")))
    if framework is not None:
        settings["validate_harness_engine"] = framework.harness_engine
        settings["validate_options"] = framework.options
    job = JobFolder(
        folder,
        hook=ROOT / "vendor_hooks" / name,
        case=CASE,
        engine=engine,
        batch_size=batch_size,
        **{**settings, **changes},
    )
    job.document["job"] |= {
        "vendor": name,
        "stack": stack or spec.stacks[0],
        "precision": precision,
        "chip": chip,
        "runner": runner,
    }
    batch: int | str = batch_size if spec.export.batch == "static" else "batch"
    write_graph(folder / "model" / "model.onnx", batch=batch, opset=spec.export.opset)
    if (quantize := job.document["quantize"]) is not None:
        name = quantize["precision"]
        quantized = quantized_graph(name, batch=batch, opset=spec.export.opset)
        (folder / "model" / f"model.{name}.onnx").write_bytes(quantized)
    return job.with_pictures(10)


def _quantize(precision: str | None) -> dict[str, Any] | None:
    return None if precision is None else {"precision": precision, "bundled": "calibration"}


QUANTIZERS = {"int8": (wire.INT8, 127, 0), "fp8": (wire.FLOAT8E4M3FN, 448, 19)}
"""Precision → (data type, its largest number, the opset from which on quantizers have it)."""


def quantized_graph(precision: str, *, batch: int | str, opset: int) -> bytes:
    """Return the same model with quantizers around its product, as the export writes it."""
    data_type, largest, oldest = QUANTIZERS[precision]
    steps = np.float32(1 / largest)
    quantizers = [
        wire.node(operator, [name, f"{base}_scale", "zero"], output)
        for base in ("flat", "weights")
        for operator, name, output in (
            ("QuantizeLinear", base, f"{base}_whole"),
            ("DequantizeLinear", f"{base}_whole", f"{base}_again"),
        )
    ]
    nodes = [
        wire.node("GlobalAveragePool", ["input"], "pooled"),
        wire.node("Flatten", ["pooled"], "flat"),
        *quantizers,
        wire.node("MatMul", ["flat_again", "weights_again"], "logits"),
    ]
    weights = wire.colour_weights(CLASSES)
    tensors = [
        wire.initializer("weights", weights),
        wire.initializer("flat_scale", np.asarray(steps)),
        wire.initializer("weights_scale", np.asarray(steps)),
        wire.zero_point("zero", data_type),
    ]
    body = b"".join(
        (
            *(wire.message(1, one) for one in nodes),
            wire.message(2, "quantized"),
            *(wire.message(5, one) for one in tensors),
            wire.message(11, wire.value_info("input", (batch, 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", (batch, CLASSES))),
        )
    )
    return (
        wire.number(1, wire.IR_VERSION)
        + wire.message(7, body)
        + wire.message(8, wire.message(1, "") + wire.number(2, max(opset, oldest)))
    )


def write_graph(path: Path, *, batch: int | str, opset: int) -> None:
    """Write logits = mean over pixels of input × weights, where the brightest channel wins."""
    path.write_bytes(graph(wire.colour_weights(CLASSES), batch=batch, opset=opset))


def graph(weights: NDArray[np.float32], *, batch: int | str, opset: int) -> bytes:
    """Return the model: input [batch, 3, SIDE, SIDE] → logits [batch, classes]."""
    body = b"".join(
        (
            wire.message(1, wire.node("GlobalAveragePool", ["input"], "pooled")),
            wire.message(1, wire.node("Flatten", ["pooled"], "flat")),
            wire.message(1, wire.node("MatMul", ["flat", "weights"], "logits")),
            wire.message(2, "colours"),
            wire.message(5, wire.initializer("weights", weights)),
            wire.message(11, wire.value_info("input", (batch, 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", (batch, weights.shape[1]))),
        )
    )
    return (
        wire.number(1, wire.IR_VERSION)
        + wire.message(7, body)
        + wire.message(8, wire.message(1, "") + wire.number(2, opset))
    )


def run(job: JobFolder, stage: str, python: Path, **environment: str) -> Outcome:
    """Run a stage with more in its environment: a stand-in's fault, a PATH.

    A stage of a fresh job that has been run in this test run, with the same job, graph, Python and
    environment, is not run again: what it left is copied.
    """
    env = _ready(job, stage, python, environment)
    if any((job.folder / "cache").iterdir()):
        return job.outcome(*_run(job, stage, env, python))
    left = made_once(
        f"stage-{_key(job, stage, env)}", lambda folder: _record(job, stage, env, python, folder)
    )
    for name in LEFT:
        shutil.copytree(left / name, job.folder / name, symlinks=True, dirs_exist_ok=True)
    document = json.loads((left / "ended.json").read_text(encoding="utf-8"))
    return job.outcome(document["code"], document["log"].replace(document["job"], str(job.folder)))


def run_by_hook(job: JobFolder, stage: str, python: Path, **environment: str) -> Outcome:
    """Run a stage as a process runner does, in any case."""
    return job.outcome(*job.by_hook(stage, _ready(job, stage, python, environment)))


def run_as_driven(job: JobFolder, stage: str, python: Path, **more: str) -> Outcome:
    """Run a stage with the variables that vendor.toml has for the device and the job's precision, and more."""
    return run(job, stage, python, **{**driven(job), **more})


def driven(job: JobFolder) -> dict[str, str]:
    """Return the variables that vendor.toml has for the device and the job's precision."""
    key = job.document["job"]
    vendor = manifest(f"{key['vendor']}/{key['stack']}")
    precision = vendor.engines[key["engine"]].precisions[key["precision"]]
    return {**vendor.devices.env, **precision.env}


def _ready(job: JobFolder, stage: str, python: Path, environment: dict[str, str]) -> dict[str, str]:
    job.write_job(stage)
    shutil.rmtree(job.folder / "out")
    (job.folder / "out").mkdir()
    return {**job.environment(python), **USUAL, **environment}


USUAL = {"ASSAY_STANDIN_THREADS": "1", "ASSAY_STANDIN_CLOCK_RATE": "10"}
"""Settings of the stand-ins, unless a test has its own: trtexec takes whole seconds, and is busy for so long."""

LEFT = ("out", "cache")
"""The folders that a stage writes to."""


def _key(job: JobFolder, stage: str, env: dict[str, str]) -> str:
    """Return a digest of everything that decides what a stage of a fresh job does."""
    files = sorted(path for path in job.folder.rglob("*") if path.is_file())
    named = [(str(path.relative_to(job.folder)), file_sha256(path)) for path in files]
    links = [str((job.folder / name).resolve()) for name in ("harness", "case", "hook")]
    text = json.dumps([stage, sorted(env.items()), named, links])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _record(job: JobFolder, stage: str, env: dict[str, str], python: Path, folder: Path) -> None:
    code, log = _run(job, stage, env, python)
    for name in LEFT:
        shutil.copytree(job.folder / name, folder / name, symlinks=True)
    ended = {"code": code, "log": log, "job": str(job.folder)}
    (folder / "ended.json").write_text(json.dumps(ended), encoding="utf-8")


def _run(job: JobFolder, stage: str, env: dict[str, str], python: Path) -> tuple[int, str]:
    can_fork = _can_fork(job, stage, env, python)
    return _forked(job, stage, env, python) if can_fork else job.by_hook(stage, env)


AT_START = ("LD_", "OPENBLAS_", "PYTHON")
"""How variables begin that Python and numpy read when they are loaded."""
AT_LOADING = ("GOMP_", "KMP_", "LD_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "TORCH_")
"""How variables begin that Python, torch and the libraries of numpy read: for forks of what has imported them all."""
AS_WITHOUT = {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "0", **ONE_BLAS_THREAD}
"""Variables of them with which nothing differs, or that the process has which is forked."""


def _can_fork(job: JobFolder, stage: str, env: dict[str, str], python: Path) -> bool:
    """Whether a stage does in a fork what its hook does: nothing may differ that imported libraries were loaded by."""
    found = shutil.which("python3", path=env["PATH"])
    changed = (name for name, value in env.items() if AS_WITHOUT.get(name) != value)
    read = AT_LOADING if is_standin(python) or _imports_torch(job, stage) else AT_START
    return found == str(python) and not any(name.startswith(read) for name in changed)


def _forked(job: JobFolder, stage: str, env: dict[str, str], python: Path) -> tuple[int, str]:
    """Run a stage where its packages have been imported, which takes longer than all else in it.

    Of a stack that is no stand-in, the engine's own libraries are loaded by each stage, except PyTorch.
    """
    modules = WITH_TORCH if _imports_torch(job, stage) else EVERY_STAGE
    if not is_standin(python):
        return forked_stage(stage, job.folder, env, python=python, modules=modules)
    base, reason = cpu_stack()
    assert base is not None, reason
    return forked_stage(stage, job.folder, env, python=python, modules=modules, base=base)


OF_GRAPHS_WITH_TORCH = (("amd", "migraphx"),)
"""Engines of graphs that import PyTorch too."""


def _imports_torch(job: JobFolder, stage: str) -> bool:
    key = job.document["job"]
    vendor, engine = key["vendor"], key["engine"]
    needs = manifest(f"{vendor}/{key['stack']}").engines[engine].needs
    # What validates others' outputs is PyTorch.
    return needs == "weights" or stage == "validate" or (vendor, engine) in OF_GRAPHS_WITH_TORCH


def assert_right(outcome: Outcome) -> None:
    """Assert that every item of the ten was predicted, the last partial batch too, and rightly."""
    predicted = outcome.npz("predictions.npz")["classes"][:, 0]
    np.testing.assert_array_equal(predicted, colours(10)[1])


def warned(outcome: Outcome, code: str) -> str:
    """Return the message of the one warning of this code."""
    messages = [warning.message for warning in outcome.ok.warnings if warning.code == code]
    assert len(messages) == 1, outcome.ok.warnings
    return messages[0]


def core(outcome: Outcome) -> Measurement:
    """Return the core loop's measurement."""
    return next(m for m in outcome.ok.measurements if m.name == "core")
