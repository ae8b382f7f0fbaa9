"""job.json as the guest reads it: plain attributes; the driver has validated it already."""

import copy
import json
import pathlib
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from harness.errors import StageFailure

SCHEMA = "assay/job/1"

#: Name → array: batch first, C-contiguous, in host memory.
Arrays = Dict[str, np.ndarray]


class TensorSpec(NamedTuple):
    """One input or output of the graph; ``shape`` excludes the batch axis.

    A batch of n items has ``n * rows_per_item`` rows; ``batched`` False means no batch axis at all.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str
    batched: bool
    rows_per_item: int

    @classmethod
    def read(cls, document: Dict[str, Any]) -> "TensorSpec":
        """The spec from its JSON object."""
        return cls(
            name=document["name"],
            shape=tuple(document["shape"]),
            dtype=document.get("dtype", "float32"),
            batched=document.get("batched", True),
            rows_per_item=document.get("rows_per_item", 1),
        )


class Measure(NamedTuple):
    """How long the guest measures; seconds are wall time (driver/models/job.py documents each field)."""

    min_seconds: float
    repeats: int
    limit: int  # 0: no limit
    warmup_min_calls: int
    warmup_max_seconds: float
    steady_tolerance: float
    latency_min_calls: int
    latency_max_seconds: float
    single_pass: bool
    core_batches: int
    core_memory_bytes: int
    audit: bool

    @classmethod
    def read(cls, document: Dict[str, Any]) -> "Measure":
        """The settings from their JSON object."""
        return cls(
            min_seconds=document["min_seconds"],
            repeats=document["repeats"],
            limit=document.get("limit") or 0,
            warmup_min_calls=document.get("warmup_min_calls", 3),
            warmup_max_seconds=document.get("warmup_max_seconds", 30.0),
            steady_tolerance=document.get("steady_tolerance", 0.05),
            latency_min_calls=document.get("latency_min_calls", 0),
            latency_max_seconds=document.get("latency_max_seconds", 10.0),
            single_pass=document.get("single_pass", False),
            core_batches=document.get("core_batches", 32),
            core_memory_bytes=document.get("core_memory_bytes", 1 << 30),
            audit=document.get("audit", False),
        )


class Generation(NamedTuple):
    """What a language model keeps, and the lengths of a job; driver/models/job.py documents the fields."""

    context: int
    layers: int
    kv_heads: int
    head_size: int
    prompt: int
    tokens: int

    @classmethod
    def read(cls, document: Dict[str, Any]) -> "Generation":
        """The sizes from their JSON object."""
        return cls(**{name: document[name] for name in cls._fields})

    def cache_elements(self, sequences: int) -> int:
        """Numbers in the keys and values of ``sequences`` at their end; the last token is never read."""
        cached = sequences * (self.prompt + self.tokens - 1)
        return 2 * self.layers * self.kv_heads * self.head_size * cached


class Scenario(NamedTuple):
    """A load scenario of MLPerf and its rules; driver/models/job.py documents the fields."""

    name: str
    samples_per_query: int
    percentile: float
    latency_bound_ns: int  # 0: none
    token_bound_ns: int  # 0: none
    tokens: bool
    target_qps: float  # 0: to be searched
    min_duration_ms: int
    min_query_count: int
    probe_duration_ms: int
    performance_samples: int

    @classmethod
    def read(cls, document: Dict[str, Any]) -> "Scenario":
        """The scenario from its JSON object."""
        found = {name: document[name] for name in cls._fields}
        for name in ("latency_bound_ns", "token_bound_ns", "target_qps"):
            found[name] = found[name] or 0
        return cls(**found)


class Job:
    """One stage of one job. ``document`` is the whole job.json; the folders are pathlib.Path."""

    def __init__(
        self, folder: Union[str, pathlib.Path], document: Dict[str, Any], stage: str
    ) -> None:
        key = document["job"]
        self.folder = pathlib.Path(folder)
        self.document = document
        self.stage = stage
        self.id: str = key["id"]
        self.case: str = key["case"]
        self.vendor: str = key["vendor"]
        self.stack: str = key["stack"]
        self.engine: str = key["engine"]
        self.precision: str = key["precision"]
        self.chip: str = key["chip"]
        self.batch_size: int = key["batch_size"]
        self.tier: str = key["tier"]
        self.repeat: int = document.get("repeat", 0)
        self.device: str = document.get("device", "0")
        self.inputs: List[TensorSpec] = [TensorSpec.read(spec) for spec in document["inputs"]]
        self.outputs: List[TensorSpec] = [TensorSpec.read(spec) for spec in document["outputs"]]
        #: Of an engine that the harness brings; None for a file of the hook's.
        self.harness_engine: Optional[str] = document.get("harness_engine")
        self.arithmetic: str = document["arithmetic"]
        self.precision_options: Dict[str, Any] = document.get("precision_options", {})
        self.engine_options: Dict[str, Any] = document.get("engine_options", {})
        self.chip_options: Dict[str, Any] = document.get("chip_options", {})
        self.case_options: Dict[str, Any] = document.get("case_options", {})
        self.preprocess: Dict[str, Any] = document.get("preprocess", {})
        self.measure = Measure.read(document["measure"])
        found = document.get("generation")
        #: Of a case that generates token by token; None for others.
        self.generation: Optional[Generation] = Generation.read(found) if found else None
        found = document.get("scenario")
        #: That LoadGen runs in infer's first process; None without one.
        self.scenario: Optional[Scenario] = Scenario.read(found) if found else None
        self.golden_count: int = document["golden_count"]
        self.weights: str = document["weights"]
        self.weights_format: Optional[str] = document.get("weights_format")
        self.seed: int = document.get("seed", 0)
        self.threads: int = document["threads"]
        self._paths: Dict[str, str] = document.get("paths", {})

    @property
    def data_dir(self) -> pathlib.Path:
        """The dataset: index.json and items.bin."""
        return self._path("data")

    @property
    def model_dir(self) -> pathlib.Path:
        """The exported model: model.onnx, model.data, export.json, torch/."""
        return self._path("model")

    @property
    def onnx_path(self) -> pathlib.Path:
        """The exported graph."""
        return self.model_dir / "model.onnx"

    @property
    def graph_path(self) -> pathlib.Path:
        """The graph to compute: the exported one, or that with quantizers where the precision has them."""
        quantize = self.document.get("quantize")
        if not quantize:
            return self.onnx_path
        return self.model_dir / "model.{}.onnx".format(quantize["precision"])

    @property
    def weights_dir(self) -> pathlib.Path:
        """The user's weights; present only in stages that need them."""
        return self._path("weights")

    @property
    def cache_dir(self) -> pathlib.Path:
        """Writable and kept between runs: for the files that compile makes."""
        return self._path("cache")

    @property
    def out_dir(self) -> pathlib.Path:
        """Writable: for the results of this stage."""
        return self._path("out")

    def path(self, name: str) -> pathlib.Path:
        """The folder that job.json calls ``name`` (labels, golden, infer, validate, …)."""
        return self._path(name)

    def redirect(self, name: str, folder: str) -> None:
        """Let the folder that job.json calls ``name`` be another one."""
        self._paths = dict(self._paths, **{name: folder})

    def validating(self) -> "Job":
        """This job as its validate stage runs it: on the validate engine, at a precision that it supports."""
        name = self.document.get("validate_engine")
        if not name:
            raise StageFailure(
                "contract",
                "engine {!r} has no validate engine, so there is no validate stage".format(
                    self.engine
                ),
                "set validate_engine in {}'s vendor.toml".format(self.vendor),
            )
        job = copy.copy(self)
        job.engine = name
        job.precision = self.document.get("validate_precision") or self.precision
        if (name, job.precision) != (self.engine, self.precision):
            job.precision_options = {}
        if name != self.engine:
            job.engine_options = self.document.get("validate_options", {})
            job.harness_engine = self.document.get("validate_harness_engine")
        return job

    def _path(self, name: str) -> pathlib.Path:
        return self.folder / self._paths.get(name, name)


def read_job(folder: Union[str, pathlib.Path], stage: str) -> Job:
    """The Job in ``folder`` for ``stage``; StageFailure (contract) when job.json is invalid."""
    path = pathlib.Path(folder) / "job.json"
    remedy = "call the hook as `hook <stage> <job folder>`, with a job folder that the driver wrote"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        job = Job(folder, document, stage)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = "{} cannot be read: {}: {}".format(path, type(error).__name__, error)
        raise StageFailure("contract", message, remedy) from error
    if document.get("schema") != SCHEMA:
        message = "{} has schema {!r}, not {!r}".format(path, document.get("schema"), SCHEMA)
        raise StageFailure("contract", message, remedy)
    return job


def items_in(inputs: Arrays, job: Job) -> int:
    """The number of items in the arrays of one engine call, by the first batched input."""
    for spec in job.inputs:
        if spec.batched and spec.name in inputs:
            return int(inputs[spec.name].shape[0]) // spec.rows_per_item
    return job.batch_size


def filled(inputs: Arrays, job: Job, more: int) -> Arrays:
    """The arrays with their last item ``more`` times again, for an engine with a static batch."""
    if not more:
        return inputs
    repeated = dict(inputs)
    for spec in job.inputs:
        if spec.batched and spec.name in inputs:
            rows = inputs[spec.name]
            repeated[spec.name] = np.concatenate([rows] + [rows[-spec.rows_per_item :]] * more)
    return repeated


def module_name(engine: str) -> str:
    """The Python module of an engine's name: ``torch-tensorrt`` → ``torch_tensorrt``."""
    return re.sub(r"[^0-9a-z_]", "_", engine)
