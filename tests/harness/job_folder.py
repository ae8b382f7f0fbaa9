"""A job folder as a session lays it out, with a small case; what a test changes of it."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from driver.models.job import JobFile
from driver.models.report import StageReport
from tests.cores import ONE_BLAS_THREAD
from tests.harness.forks import EVERY_STAGE, exported_by, forked_stage
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).parent / "guest"
SIDE = 16
CLASSES = 6

MEASURE = {
    "min_seconds": 0.05,
    "repeats": 1,
    "warmup_min_calls": 1,
    "warmup_max_seconds": 0.3,
    "latency_min_calls": 5,
    "latency_max_seconds": 0.05,
}


def png(red: int, green: int, blue: int, side: int = SIDE) -> bytes:
    """Return a plain picture as PNG bytes, made without an image library."""
    rows = b"".join(b"\0" + bytes((red, green, blue)) * side for _ in range(side))

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def colours(count: int) -> tuple[list[bytes], NDArray[np.int64]]:
    """Return pictures and their classes: which channel is the brightest."""
    labels = np.arange(count, dtype=np.int64) * 7 % 3
    pictures = []
    for number, label in enumerate(labels):
        channels = [20 + number % 50] * 3
        channels[label] = 200
        pictures.append(png(*channels))
    return pictures, labels


def write_files(folder: Path, payloads: Sequence[bytes]) -> None:
    """Write a dataset of kind ``file``."""
    _write_dataset(folder, payloads, {"kind": "file"})


def write_tensors(folder: Path, items: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    """Write a dataset of kind ``tensor``; all items have the same names, shapes and dtypes."""
    specs = [
        {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}
        for name, array in items[0].items()
    ]
    payloads = [b"".join(array.tobytes() for array in item.values()) for item in items]
    _write_dataset(folder, payloads, {"kind": "tensor", "tensors": specs})


def _write_dataset(folder: Path, payloads: Sequence[bytes], extra: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stream, entries = io.BytesIO(), []
    for number, payload in enumerate(payloads, start=1):
        entries.append({"id": f"{number:06d}", "offset": stream.tell(), "length": len(payload)})
        stream.write(payload)
    body = stream.getvalue()
    (folder / "items.bin").write_bytes(body)
    index = {
        "schema": "assay/dataset/1",
        "count": len(payloads),
        "file": "items.bin",
        "bytes": len(body),
        "sha256": "0" * 64,
        "items": entries,
        **extra,
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def job_document(engine: str = "colours", batch_size: int = 4, **changes: Any) -> dict[str, Any]:
    """Return a job.json that the driver's model accepts."""
    document: dict[str, Any] = {
        "schema": "assay/job/1",
        "job": {
            "id": "0123456789abcdef",
            "case": "colours",
            "vendor": "tests",
            "stack": "any",
            "engine": engine,
            "chip": "host",
            "precision": "fp32",
            "batch_size": batch_size,
            "tier": "smoke",
            "runner": "process",
        },
        "stage": "infer",
        "inputs": [{"name": "input", "shape": [3, SIDE, SIDE]}],
        "outputs": [{"name": "logits", "shape": [CLASSES]}],
        "task": "image-classification",
        "metric": "top1",
        "export": {},
        "arithmetic": "fp32",
        "preprocess": {
            "resize": SIDE,
            "crop": SIDE,
            "interpolation": "bilinear",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        },
        "golden_count": 6,
        "weights": "trained-here",
        "data": "synthetic",
        "threads": 2,
        **changes,
    }
    document["measure"] = {**MEASURE, **changes.get("measure", {})}
    return document


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a stage ended; ``report`` has been checked against the driver's model."""

    returncode: int
    log: str
    out: Path
    document: dict[str, Any] | None

    @property
    def report(self) -> StageReport:
        """Return report.json as the driver reads it."""
        assert self.document is not None, self.log
        return StageReport.model_validate_json(json.dumps(self.document))

    @property
    def ok(self) -> StageReport:
        """Return the report of a stage that went well."""
        assert self.returncode == 0, self.log
        report = self.report
        assert (report.status, report.failure) == ("ok", None)
        return report

    def failed(self, kind: str) -> str:
        """Return the message of a stage that failed with ``kind`` and says how to go on."""
        report = self.report
        assert (self.returncode, report.status) == (1, "failed"), self.log
        assert report.failure is not None
        assert report.failure.kind == kind, report.failure
        assert report.failure.remedy
        return report.failure.message

    def npz(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an .npz that the stage left."""
        with np.load(self.out / name) as arrays:
            return dict(arrays)

    def npy(self, name: str) -> NDArray[np.int64]:
        """Return the samples that the stage left."""
        samples: NDArray[np.int64] = np.load(self.out / name)
        return samples


class JobFolder:
    """A job folder on disk; ``run`` calls its hook as a process runner does."""

    def __init__(
        self, folder: Path, *, hook: Path = GUEST / "hook", case: Path = GUEST / "case", **job: Any
    ) -> None:
        self.folder = folder
        for name in ("data", "cache", "out", "model"):
            (folder / name).mkdir(parents=True)
        for name, target in {
            "harness": ROOT / "vendor_hooks" / "harness",
            "case": case,
            "hook": hook,
        }.items():
            (folder / name).symlink_to(target)
        self.document = job_document(**job)

    @property
    def data(self) -> Path:
        """Return the dataset's folder."""
        return self.folder / "data"

    def with_pictures(self, count: int = 10) -> JobFolder:
        """Write the plain pictures as the dataset."""
        write_files(self.data, colours(count)[0])
        return self

    def write_job(self, stage: str) -> None:
        """Write job.json for ``stage``, by the driver's own model."""
        job = JobFile.model_validate_json(json.dumps({**self.document, "stage": stage}))
        text = job.model_dump_json(by_alias=True)
        (self.folder / "job.json").write_text(text, encoding="utf-8")

    def run(
        self, stage: str = "infer", *, python: Path | None = None, timeout_s: float = PATIENCE_S
    ) -> Outcome:
        """Run the hook of this folder with ``python`` (this one if None) first on PATH."""
        self.write_job(stage)
        return self.outcome(*self.by_hook(stage, self.environment(python), timeout_s))

    def by_hook(
        self, stage: str, environment: Mapping[str, str], timeout_s: float = PATIENCE_S
    ) -> tuple[int, str]:
        """Run the hook as a process runner does; return its exit status and its log."""
        done = subprocess.run(
            [str(self.folder / "hook" / "hook"), stage, str(self.folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def run_forked(
        self,
        stage: str = "infer",
        *,
        python: Path | None = None,
        modules: tuple[str, ...] = EVERY_STAGE,
    ) -> Outcome:
        """Run a stage as its hook would, which hands over to the harness: a fork that has imported ``modules``."""
        exported = exported_by(self.folder / "hook" / "hook")
        assert exported is not None, "this hook does more than a fork would"
        self.write_job(stage)
        own = python or Path(sys.executable)
        environment = {**self.environment(python), **exported}
        return self.outcome(
            *forked_stage(stage, self.folder, environment, python=own, modules=modules)
        )

    def environment(self, python: Path | None = None) -> dict[str, str]:
        """Return what a process runner hands a hook."""
        bin_folder = (python or Path(sys.executable)).parent
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "LC_ALL": "C.UTF-8", **ONE_BLAS_THREAD}

    def outcome(self, returncode: int, log: str) -> Outcome:
        """Read what the stage left in its out folder."""
        path = self.folder / "out" / "report.json"
        document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        return Outcome(returncode=returncode, log=log, out=self.folder / "out", document=document)
