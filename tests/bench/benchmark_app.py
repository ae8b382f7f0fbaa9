"""OpenVINO's own benchmark_app: how it is called, and what its output says really ran."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.jobs import NotComparable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.case import TensorSpec
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench

ELEMENT_TYPES = {"fp32": "f32", "bf16": "bf16"}
ARITHMETIC = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""OpenVINO's names of types as Python prints them, in ours."""

NODE_TYPES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was in force in a run, as its own side read it back; both sides' must be equal."""

    precision: str
    threads: int
    streams: int
    in_flight: int
    batch_size: int
    performance_hint: str


def settings_of(printed: str, report: Mapping[str, Mapping[str, str]]) -> Settings:
    """Return what benchmark_app says of its compiled model; NotComparable where it does not say."""
    setup = report.get("configuration_setup", {})
    element = _printed("INFERENCE_PRECISION_HINT", printed)
    name = re.fullmatch(r"<Type: '(\w+)'>", element)
    try:
        return Settings(
            precision=ARITHMETIC.get(name[1], name[1]) if name else element,
            threads=int(_printed("INFERENCE_NUM_THREADS", printed)),
            streams=int(_printed("NUM_STREAMS", printed)),
            in_flight=int(setup["number of parallel infer requests"]),
            batch_size=int(setup["batch size"]),
            performance_hint=_printed("PERFORMANCE_HINT", printed).rpartition(".")[2],
        )
    except (KeyError, ValueError) as error:
        raise _not_understood(str(error)) from error


def settings_in_force(effective: Mapping[str, Any], batch_size: int) -> Settings:
    """Return the same of our side, from the effective settings of its result."""
    hint = effective["inference_precision_hint"]
    return Settings(
        precision=NODE_TYPES.get(hint, hint),
        threads=effective["threads"],
        streams=effective["streams"],
        in_flight=effective["in_flight"],
        batch_size=batch_size,
        performance_hint=effective["performance_hint"],
    )


def precision_that_ran(effective: Mapping[str, Any]) -> str:
    """Return the precision of most of the computing nodes of our compiled graph, else the hint's."""
    nodes: Mapping[str, int] = effective["node_precisions"]
    most = max(nodes, key=lambda name: nodes[name], default=effective["inference_precision_hint"])
    return NODE_TYPES.get(most, most)


def require_same(ours: Settings, theirs: Settings) -> None:
    """Refuse a comparison of different configurations: NotComparable with what differs."""
    pairs = zip(asdict(ours).items(), asdict(theirs).values(), strict=True)
    differs = [f"{name} {own} against {other}" for (name, own), other in pairs if own != other]
    if differs:
        raise NotComparable(
            f"ours and benchmark_app ran with different settings: {', '.join(differs)}",
            "see what changed between versions of OpenVINO: engines/openvino.py and _command here",
        )


def measure(bench: Bench, choice: Choice, threads: int, seconds: int) -> tuple[float, Settings]:
    """Run benchmark_app on the model file of this job; return items a second and its settings."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as name:
        folder = Path(name)
        limits = {"CPU": {"INFERENCE_NUM_THREADS": str(threads)}}
        (folder / "limits.json").write_text(json.dumps(limits), encoding="utf-8")
        printed = bench.bare(choice, _command(bench, choice, folder, seconds), folder)
        text = (folder / "benchmark_report.json").read_text(encoding="utf-8")
    report = json.loads(text)
    return float(report["execution_results"]["throughput"]), settings_of(printed, report)


def _command(bench: Bench, choice: Choice, folder: Path, seconds: int) -> list[str]:
    tensors = choice.case.manifest.model.inputs
    return [
        *("benchmark_app", "-m", str(bench.model(choice)), "-d", "CPU", "-ip", "f32"),
        *("-shape", ",".join(_shape(tensor, choice.batch_size) for tensor in tensors)),
        *("-infer_precision", ELEMENT_TYPES[choice.precision_name], "-hint", "throughput"),
        *("-load_config", str(folder / "limits.json"), "-t", str(seconds)),
        *("-json_stats", "-report_type", "no_counters", "-report_folder", str(folder)),
    ]


def _shape(tensor: TensorSpec, batch_size: int) -> str:
    rows = (batch_size * tensor.rows_per_item,) if tensor.batched else ()
    return f"{tensor.name}[{','.join(str(size) for size in (*rows, *tensor.shape))}]"


def _printed(key: str, printed: str) -> str:
    found = re.search(rf"^\[ INFO \] +{key}: (.+)$", printed, re.MULTILINE)
    if found is None:
        raise _not_understood(f"{key} is not printed")
    return found[1].strip()


def _not_understood(why: str) -> NotComparable:
    return NotComparable(
        f"benchmark_app does not say what it ran with: {why}",
        "its output is read as OpenVINO 2026.4 prints it; fix tests/bench/benchmark_app.py",
    )
