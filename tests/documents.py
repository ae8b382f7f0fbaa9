"""Valid result documents for tests: one that is whole, and what a test changes of it."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from driver.system.hashing import canonical_digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def sha(*parts: object) -> str:
    """Return a sha256 that depends on the parts alone."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def job(**changes: Any) -> dict[str, Any]:
    """Return a job's key; its id follows from what it is made of."""
    key: dict[str, Any] = {
        "case": "vit_l_16",
        "vendor": "nvidia",
        "stack": "cuda12.1-trt8.6",
        "engine": "tensorrt",
        "chip": "A100-SXM4-40GB",
        "precision": "fp16",
        "batch_size": 64,
        "tier": "standard",
        "runner": "docker",
        **changes,
    }
    return {"id": sha(*sorted(key.items()))[:16], **key}


def metrics(core: float = 1329.2, **changes: Any) -> dict[str, Any]:
    """Return figures that hang together around a p_infer_core in items/s."""
    values = [core, core * 0.99, core * 1.01]
    return {
        "p_infer_core": core,
        "p_infer_whole": core * 0.62,
        "p_val_core": core * 0.6,
        "p_val_whole": core * 0.585,
        "e2e_time_s": 1009.7,
        "acc_infer": 79.0,
        "acc_val": 79.3,
        "acc_metric": "acc1",
        "acc_kind": "labels",
        "acc_items": 50000,
        "acc_also": {"acc5": 94.1},
        "mfu": 26.2,
        "mfu_published_convention": 26.2,
        "mem_gib": 35.0,
        "mem_compile_gib": 12.5,
        "mem_total_gib": 40.0,
        "latency_ms": {"p50": 4.1, "p90": 4.4, "p99": 5.2, "max": 7.9, "samples": 1000},
        "fidelity": {"items": 64, "cosine_min": 0.99991, "max_abs": 0.031},
        "spread": {"p_infer_core": {"values": values, "median": core, "cv": 0.01}},
        "energy_j": 61000.0,
        "energy_items": max(1, round(core * 200)),
        **changes,
    }


PEAKS: dict[str, dict[str, float]] = {
    "A100": {"fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12, "int8": 624e12},
    "T4": {"fp32": 8.1e12, "fp16": 65e12, "int8": 130e12},
}
BANDWIDTHS = {"A100": 1555e9, "T4": 320e9}
WORK = {
    "macs": 61_554_712_576,
    "parameters": 304_326_632,
    "input_elements": 150_528,
    "output_elements": 1000,
}
"""What an item of vit_l_16 costs."""


def chip_facts(name: str) -> dict[str, Any]:
    """Return what a result knows of its chip; nothing but the name for chips that no manifest lists."""
    family = name.partition("-")[0]
    return {
        "title": name,
        "peaks": PEAKS.get(family, {}),
        "memory_gib": 40.0 if family in PEAKS else None,
        "memory_bandwidth": BANDWIDTHS.get(family),
        "part": None,
    }


def provenance(key: dict[str, Any]) -> dict[str, Any]:
    """Return where a job's parts come from."""
    case, vendor, precision = key["case"], key["vendor"], key["precision"]
    arithmetic = {"fp32": "tf32"}.get(precision, precision)
    return {
        "assay": "0.1.0",
        "commit": sha("commit")[:40],
        "code": {"case": sha(case), "hook": sha(vendor), "harness": sha("harness")},
        "vendor_stack": {"image": f"assay/{vendor}/{key['stack']}", "id": "sha256:" + sha(vendor)},
        "reference_stack": {"image": "assay/reference", "id": "sha256:" + sha("reference")},
        "weights": {"kind": "published", "format": "huggingface", "digest": sha(case, "weights")},
        "dataset": {"kind": "real", "sha256": sha(case, "data"), "count": 50000},
        "export": {
            "onnx_sha256": sha(case, "onnx"),
            "opset": 18,
            "batch": "dynamic",
            "simplified": True,
            "attention": "eager",
        },
        "engine_file": {"sha256": sha(case, vendor, precision, key["batch_size"])},
        "core": {"clock": "harness", "in_flight": 2, "includes": ["h2d", "compute", "d2h"]},
        "chips": 1,
        "chips_per_card": 1,
        "chip": chip_facts(str(key["chip"])),
        "work": WORK,
        "input": "file",
        "effective": {"infer": {"precision": precision, "arithmetic": arithmetic, "in_flight": 2}},
        "versions": {"infer": {"python": "3.10.12", "tensorrt": "8.6.1", "numpy": "1.24.4"}},
        "host": {"cpu": "AMD EPYC 7763", "threads": 64, "memory_bytes": 540 << 30},
        "device": {"name": key["chip"], "driver": "535.129.03", "serial": sha(vendor)[:12]},
    }


def host_result(
    cpu: str, *, threads: int = 64, name: str | None = None, **changes: Any
) -> dict[str, Any]:
    """Return a result of the host's processor, as it was written before a processor was a chip."""
    key = job(vendor="cpu", stack="ort", engine="onnxruntime", precision="fp32", chip="host")
    host = {"cpu": cpu, "threads": threads, "cores_online": 64, "memory_bytes": 64 << 30}
    recorded = provenance(key) | {"host": host | ({"name": name} if name else {})}
    return document(**{"job": key, "provenance": recorded, **changes})


def warned(*codes: str) -> list[dict[str, str]]:
    """Return warnings as a result has them."""
    return [{"code": code, "message": f"{code} was seen", "remedy": "try"} for code in codes]


def unstable(core: float = 1329.2, **changes: Any) -> dict[str, Any]:
    """Return a result whose processes vary by 30 %."""
    values = {"values": [0.6 * core, core, 1.2 * core], "median": core, "cv": 0.304}
    figures = metrics(core, spread={"p_infer_core": values})
    return document(**{"metrics": figures, "warnings": warned("unstable"), **changes})


STAGES = ("export", "compile", "validate", "infer", "infer", "infer", "score")
SHARES = {
    "start-up": 12.5,
    "export": 41.2,
    "compile": 310.0,
    "validate": 170.0,
    "infer": 431.0,
    "score": 45.0,
}


def document(*, unsigned: bool = False, **changes: Any) -> dict[str, Any]:
    """Return a whole result; ``changes`` replace its members, and it is signed afterwards."""
    key = changes.get("job") or job()
    body: dict[str, Any] = {
        "schema": "assay/result/1",
        "job": key,
        "status": "ok",
        "failure": None,
        "simulated": False,
        "weights": "published",
        "data": "real",
        "started_utc": "2024-03-01T08:00:00Z",
        "finished_utc": "2024-03-01T08:16:50Z",
        "core_item": "image",
        "metrics": metrics(),
        "gate": {
            "passed": True,
            "reference": 79.3,
            "allowed_relative_drop": 0.01,
            "drop": 0.0038,
            "reason": "acc1 79.00 against 79.30: 0.38% lower, within the allowed 1%",
        },
        "stages": [
            {
                "name": name,
                "repeat": STAGES[:index].count(name),
                "status": "ok",
                "wall_s": 40.0 + index,
                "guest_s": 39.0,
            }
            for index, name in enumerate(STAGES)
        ],
        "time_shares": [{"what": what, "wall_s": wall} for what, wall in SHARES.items()],
        "samples": [],
        "monitor": None,
        "warnings": [],
        "provenance": provenance(key),
        **changes,
    }
    if not unsigned:
        body["digest"] = canonical_digest(body)
    return body


def folder_of(root: Path, body: dict[str, Any]) -> Path:
    """Return the folder in which the driver would keep the result below ``root``."""
    key = body["job"]
    config = f"{key['stack']}-{key['engine']}-{key['precision']}-bs{key['batch_size']}"
    stamp = body["started_utc"].replace("-", "").replace(":", "")
    return root / str(key["case"]) / str(key["vendor"]) / config / f"{stamp}-{key['id'][:8]}"


def write(root: Path, body: dict[str, Any]) -> Path:
    """Write a result below ``root`` as the driver lays it out; return its result.json."""
    folder = folder_of(root, body)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "result.json"
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def npy_bytes(samples_ns: NDArray[np.int64]) -> bytes:
    """Return an .npy file of nanoseconds."""
    file = io.BytesIO()
    np.save(file, samples_ns)
    return file.getvalue()


def with_samples(
    root: Path, samples_ns: dict[str, NDArray[np.int64]], **changes: Any
) -> tuple[Path, dict[str, Any]]:
    """Write a result with its sample files; return its result.json and its document."""
    contents = {name: npy_bytes(values) for name, values in samples_ns.items()}
    listed = [
        {
            "name": name,
            "file": f"samples/{name}.npy",
            "sha256": hashlib.sha256(content).hexdigest(),
            "count": len(samples_ns[name]),
            "unit": "ns",
        }
        for name, content in contents.items()
    ]
    body = document(samples=listed, **changes)
    path = write(root, body)
    (path.parent / "samples").mkdir(exist_ok=True)
    for name, content in contents.items():
        (path.parent / "samples" / f"{name}.npy").write_bytes(content)
    return path, body
