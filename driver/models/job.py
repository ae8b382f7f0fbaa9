"""job.json: one case × vendor × stack × engine × precision × batch size, fully resolved."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from driver.models.base import Frozen, Name, RunnerName, ScenarioName, StageName, Tier
from driver.models.case import GenerationSpec, TensorSpec
from driver.models.vendor import ExportNeeds

Weights = Literal["published", "synthetic", "trained-here"]
Data = Literal["real", "synthetic"]
SCENARIOS: tuple[str, ...] = get_args(ScenarioName)


class JobKey(Frozen):
    """What identifies a job in results and tables."""

    id: str = Field(pattern=r"^[0-9a-f]{16}$", description="hash of everything the job is made of")
    case: Name
    vendor: Name
    stack: Name
    engine: Name
    chip: str
    precision: Name
    batch_size: int = Field(ge=1)
    tier: Tier
    runner: RunnerName
    scenario: ScenarioName | None = Field(
        default=None,
        # Results from before there were scenarios have statements and digests without it.
        exclude_if=lambda value: value is None,
        description="load scenario that LoadGen ran besides the usual loops",
    )


class Measure(Frozen):
    """How long and how often the guest measures."""

    min_seconds: float = Field(ge=0, description="minimum length of the core loop, wall seconds")
    repeats: int = Field(ge=1, description="infer stages, each in a fresh process")
    limit: int | None = Field(default=None, ge=1, description="number of dataset items to use")
    warmup_min_calls: int = 3
    warmup_max_seconds: float = 30.0
    steady_tolerance: float = Field(
        default=0.05, description="allowed relative difference of two successive windows' medians"
    )
    latency_min_calls: int = 0
    latency_max_seconds: float = 10.0
    single_pass: bool = Field(
        default=False,
        description="smoke run of a slow model: the whole loop's calls also count as the core's",
    )
    core_batches: int = Field(default=32, ge=1, description="distinct batches kept in host memory")
    core_memory_bytes: int = Field(default=1 << 30, description="maximum size of these batches")
    audit: bool = Field(
        default=False,
        description="check more outputs of the core loop, and whether repeated inputs are faster",
    )


class GuestPaths(Frozen):
    """Paths relative to the job folder; null if the stage does not get them."""

    case: str = "case"
    hook: str = "hook"
    harness: str = "harness"
    data: str = "data"
    model: str = "model"
    weights: str = "weights"
    labels: str = "labels"
    golden: str = "golden"
    infer: str = "infer"
    validate_: str = Field(default="validate", alias="validate")
    cache: str = "cache"
    out: str = "out"


class GenerationJob(GenerationSpec):
    """The sizes, and the lengths that a job runs: PROMPT and TOKENS."""

    prompt: int = Field(ge=1, description="tokens of each prompt")
    tokens: int = Field(ge=2, description="tokens that each prompt gets")
    ttft_ms: float | None = Field(
        default=None, description="bound of goodput on the time to first token"
    )
    tpot_ms: float | None = Field(
        default=None, description="bound of goodput on the time per output token"
    )


class ScenarioJob(Frozen):
    """A load scenario of MLPerf and its rules; LoadGen runs it in infer's first process."""

    name: ScenarioName
    samples_per_query: int = Field(ge=1, description="8 in multistream, elsewhere 1")
    percentile: float = Field(gt=0, lt=1, description="share of the queries that a latency covers")
    latency_bound_ns: int | None = Field(
        default=None,
        ge=1,
        description="of server: the percentile may not be above it; of a language model, the time to "
        "the first token",
    )
    token_bound_ns: int | None = Field(
        default=None, ge=1, description="of server and a language model: the time per later token"
    )
    tokens: bool = Field(default=False, description="a language model: LoadGen times its tokens")
    target_qps: float | None = Field(
        default=None, gt=0, description="of server: queries/s; null: the highest is searched"
    )
    min_duration_ms: int = Field(ge=0, description="least duration of the run")
    min_query_count: int = Field(
        ge=1, description="least queries of the run; of offline, least samples of its query"
    )
    probe_duration_ms: int = Field(ge=1, description="of server: each step of the search")
    performance_samples: int = Field(
        default=1024, ge=1, description="samples in memory at once; memory may allow fewer"
    )


class QuantizeJob(Frozen):
    """What the export quantizes to, and the items that it calibrates on: files of the case, or generated pictures."""

    precision: Literal["int8", "fp8"]
    bundled: str | None = Field(default=None, description="folder of the case with the files")
    generated: dict[str, Any] = Field(
        default={},
        description="count, width, height and seed of pictures, and the first one's number",
    )


class JobFile(Frozen):
    """job.json (schema ``assay/job/1``): everything that the guest learns about its job."""

    schema_: Literal["assay/job/1"] = Field(default="assay/job/1", alias="schema")
    job: JobKey
    stage: StageName
    repeat: int = Field(default=0, ge=0, description="index of infer's process, from 0")
    device: str = "0"
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    task: str
    metric: str
    metric_also: tuple[str, ...] = ()
    export: ExportNeeds
    engine_needs: Literal["onnx", "weights"] = "onnx"
    harness_engine: str | None = None
    validate_engine: Name | None = None
    validate_precision: Name | None = None
    validate_harness_engine: str | None = None
    validate_options: dict[str, Any] = {}
    arithmetic: str
    precision_options: dict[str, Any] = {}
    engine_options: dict[str, Any] = {}
    chip_options: dict[str, Any] = {}
    case_options: dict[str, Any] = {}
    preprocess: dict[str, Any] = {}
    measure: Measure
    golden_count: int
    weights: Weights
    weights_format: Literal["huggingface", "pth", "npz"] | None = None
    data: Data
    input_kind: Literal["file", "tensor"] = "file"
    generation: GenerationJob | None = None
    scenario: ScenarioJob | None = None
    quantize: QuantizeJob | None = None
    seed: int = 0
    threads: int = Field(ge=1)
    paths: GuestPaths = GuestPaths()
