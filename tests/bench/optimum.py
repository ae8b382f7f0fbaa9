"""optimum-benchmark: how it is called, and what its report says."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from driver.errors import EnvironmentFault
from driver.stacks.install.pip_settings import pip_settings
from driver.stacks.locks import lock_sha256, uv_environment
from driver.system.file_lock import locked
from driver.system.settings import load_settings
from driver.system.subprocesses import ChildFailed, run_child
from tests.bench.benchmark_app import ELEMENT_TYPES
from tests.bench.jobs import NotComparable

if TYPE_CHECKING:
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench

LOCK = Path(__file__).with_name("peers") / "requirements.lock"
"""Its environment's packages."""

BACKENDS = {("cpu", "eager"): "pytorch", ("intel", "openvino"): "openvino"}
"""Vendor and engine → its backend. The one for ONNX Runtime has no place beside this torch: peers/requirements.in."""

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
NAME = "peer"
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""The model is a folder: it need not ask its hub for it."""


def measure(
    bench: Bench, choice: Choice, *, threads: int, seconds: int, launcher: str
) -> tuple[float, int]:
    """Measure the weights of this job's model; return items a second and the lines of its configuration.

    ``launcher`` is ``inline``, or its default ``process``. The job must have run, since its export wrote the
    weights. Raises NotComparable for a report that cannot be read.
    """
    model = bench.model(choice).parent / "torch"
    text = configuration(model, choice, threads=threads, seconds=seconds, launcher=launcher)
    venv = environment()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as name:
        folder = Path(name)
        (folder / f"{NAME}.yaml").write_text(text, encoding="utf-8")
        words = ["optimum-benchmark", "--config-dir", name, "--config-name", NAME]
        bench.program(venv, words, folder, OFFLINE)
        report = folder / "benchmark_report.json"
        if not report.is_file():
            raise NotComparable(
                "optimum-benchmark wrote no benchmark_report.json",
                f"run it by hand with this configuration:\n{text}",
            )
        return rate_of(json.loads(report.read_text(encoding="utf-8"))), len(text.splitlines())


def configuration(model: Path, choice: Choice, *, threads: int, seconds: int, launcher: str) -> str:
    """Return its configuration, in YAML, with as few lines as its own examples have."""
    backend = BACKENDS[choice.vendor.name, choice.engine_name]
    lines = [
        *("defaults:", "  - benchmark", "  - scenario: inference"),
        *(f"  - launcher: {launcher}", f"  - backend: {backend}", "  - _self_"),
        f"name: {choice.case.name}",
        *("hydra:", "  run:", "    dir: ."),
        *("scenario:", f"  duration: {seconds}", "  input_shapes:"),
        f"    batch_size: {choice.batch_size}",
    ]
    lengths = [spec.shape[0] for spec in choice.case.manifest.model.inputs if len(spec.shape) == 1]
    if lengths:
        lines.append(f"    sequence_length: {lengths[0]}")
    lines += ["backend:", "  device: cpu", f"  model: {model}"]
    if backend == "openvino":
        # Without it, OpenVINO chooses bf16 where the processor has it.
        precision = ELEMENT_TYPES[choice.precision_name]
        lines += ["  export: true", "  ov_config:", f"    INFERENCE_PRECISION_HINT: {precision}"]
        lines.append(f'    INFERENCE_NUM_THREADS: "{threads}"')
    else:
        lines.append(f"  torch_dtype: {DTYPES[choice.precision_name]}")
    return "\n".join(lines) + "\n"


def rate_of(report: dict[str, Any]) -> float:
    """Return items a second of a report: batch size ÷ mean latency of a forward call."""
    try:
        found = report["forward"]["throughput"]
        if found["unit"] != "samples/s":
            raise NotComparable(
                f"optimum-benchmark reports {found['unit']}, not samples/s",
                "see tests/bench/optimum.py",
            )
        return float(found["value"])
    except (KeyError, TypeError) as error:
        raise NotComparable(
            f"optimum-benchmark's report has no throughput of forward: {error!r}",
            "its output is read as version 0.6.0 writes it; fix tests/bench/optimum.py",
        ) from error


def environment() -> Path:
    """Return its environment, made when it is missing. Raises EnvironmentFault where it cannot be."""
    settings = load_settings()
    venv = settings.home / "tests" / f"peers-{lock_sha256(LOCK)[:12]}"
    whole = venv / "assay-whole"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with locked(venv.with_suffix(".lock")):
        if not whole.is_file():
            print("  making the environment of optimum-benchmark (once)", file=sys.stderr)
            shutil.rmtree(venv, ignore_errors=True)
            _make(venv, settings.torch_index)
            whole.touch()
    return venv


def _make(venv: Path, torch_index: str) -> None:
    uv, python = find_uv_bin(), str(venv / "bin" / "python3")
    install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
    # The lock has all that is needed: without --no-deps, uv would ask for torchvision, too.
    install += ["--no-deps", "-r", str(LOCK)]
    settings = pip_settings()
    env = uv_environment(settings)
    try:
        run_child([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], env=env)
        try:
            run_child(install, env=env)
        except ChildFailed:
            # torch's own index only where pip's settings name no place with its CPU build.
            wider = uv_environment(settings, more_indexes=(torch_index,))
            run_child([*install, "--index-strategy=unsafe-best-match"], env=wider)
    except ChildFailed as failed:
        raise EnvironmentFault(
            f"the environment of optimum-benchmark cannot be made: {failed.tail}",
            "let uv reach a package index (pip config list), then run the same command again",
        ) from failed
