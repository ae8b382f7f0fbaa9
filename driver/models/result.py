"""result.json: the result of one job, written once, atomically, and never edited."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from driver.models.base import Failure, Frozen, ScenarioName, StageName, Warn
from driver.models.job import Data, JobKey, Weights
from driver.models.report import Fidelity, ProbedRate


class Latency(Frozen):
    """Latency of single calls with one in flight, milliseconds; null with too few samples."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None
    samples: int = 0


class Generation(Frozen):
    """Figures of a language model's core loop; times in ms, rates in tokens/s (docs/figures.md)."""

    prompt: int = Field(description="tokens of each prompt")
    tokens: int = Field(description="tokens that each prompt got")
    ttft_ms: Latency = Field(default=Latency(), description="time to first token: a prefill")
    itl_ms: Latency = Field(default=Latency(), description="inter-token latency: a decode step")
    tpot_ms: float | None = Field(default=None, description="time per output token after the first")
    p_prefill: float | None = Field(default=None, description="prompt tokens ÷ time of prefills")
    p_decode: float | None = Field(default=None, description="later tokens ÷ time of decode steps")
    goodput: float | None = Field(
        default=None, description="sequences within both bounds ÷ time of the loop, per second"
    )
    ttft_bound_ms: float | None = Field(default=None, description="goodput's bound on ttft_ms")
    tpot_bound_ms: float | None = Field(default=None, description="goodput's bound on tpot_ms")
    kv_cache_gib: float = Field(description="keys and values of a batch at its end")
    mbu: float | None = Field(
        default=None,
        description="of decode: bytes that it must read ÷ time ÷ peak bandwidth, percent",
    )


class ScenarioLatency(Frozen):
    """Latencies as LoadGen's log states them, ms: of queries in multistream, elsewhere of samples."""

    min: float | None = None
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p97: float | None = None
    p99: float | None = None
    p99_9: float | None = None
    max: float | None = None


class Scenario(Frozen):
    """A load scenario, by LoadGen's own log (docs/scenarios.md)."""

    name: ScenarioName
    loadgen: str = Field(description="LoadGen's version, as it states it")
    valid: bool = Field(description="LoadGen's verdict")
    reason: str | None = Field(default=None, description="why not, in LoadGen's words")
    figure: float | None = Field(
        default=None,
        description="MLPerf's result: samples/s of offline and server; of singlestream and multistream "
        "the early-stopping estimate of the percentile's latency in ms. It counts only if valid",
    )
    samples_per_s: float | None = Field(
        default=None, description="as they were completed; null in multistream"
    )
    latency_ms: ScenarioLatency = ScenarioLatency()
    unit: str = Field(default="", description="of the figure")
    tokens_per_s: float | None = Field(default=None, description="of a language model")
    ttft_ms: ScenarioLatency | None = Field(
        default=None, description="of a language model, but for offline: time to the first token"
    )
    tpot_ms: ScenarioLatency | None = Field(
        default=None, description="the same: time per later token"
    )
    percentile: float = Field(description="whose latency counts, in percent")
    latency_bound_ms: float | None = Field(
        default=None, description="of server; of a language model, for the first token"
    )
    token_bound_ms: float | None = Field(default=None, description="the same for each later one")
    target_qps: float | None = Field(default=None, description="of server: queries/s as scheduled")
    searched: bool = Field(
        default=False, description="of server: the highest rate was searched, none was asked for"
    )
    best_qps: float | None = Field(
        default=None, description="of server: the highest rate tried that kept the bound"
    )
    tried: tuple[ProbedRate, ...] = ()
    alone_ms: float = Field(description="median time of a query with nothing else on the engine")
    queries: int = Field(ge=0)
    over_latency: int | None = Field(default=None, description="of server: queries over the bound")
    samples_per_query: int = Field(ge=1)
    samples_a_call: float = Field(description="mean size of the batches that the harness made")
    min_duration_s: float
    agreement: float = Field(
        description="share of items whose predictions in accuracy mode are those that are scored"
    )
    sampled: int = Field(description="answers of the run that were computed again, and were alike")
    fresh_tokens_per_s: float | None = Field(
        default=None,
        description="of an engine that schedules sequences by itself: under a steady load of prompts that never "
        "repeat",
    )
    logs: dict[str, str] = Field(description="LoadGen's logs beside the result: name → sha256")
    run: str = Field(description="folder of the logs that the figures are from")


class Spread(Frozen):
    """A figure's values over repeats in fresh processes, in order; the figure is their median."""

    values: tuple[float, ...]
    median: float
    cv: float | None = Field(default=None, description="standard deviation ÷ mean across processes")


class Metrics(Frozen):
    """The figures. A missing one is null, printed as "/", and never 0."""

    p_infer_core: float | None = None
    p_infer_whole: float | None = None
    p_val_core: float | None = None
    p_val_whole: float | None = None
    e2e_time_s: float | None = None
    acc_infer: float | None = None
    acc_val: float | None = None
    acc_metric: str
    acc_kind: Literal["labels", "agreement"] | None = None
    acc_items: int | None = None
    acc_also: dict[str, float] = {}
    mfu: float | None = None
    mfu_published_convention: float | None = None
    mem_gib: float | None = None
    mem_compile_gib: float | None = None
    mem_total_gib: float | None = None
    latency_ms: Latency = Latency()
    generation: Generation | None = None
    scenario: Scenario | None = None
    fidelity: Fidelity | None = None
    core_fidelity: Fidelity | None = None
    spread: dict[str, Spread] = {}
    energy_j: float | None = None
    energy_items: int | None = Field(
        default=None, description="core items of the loop whose energy that is"
    )


class StageRecord(Frozen):
    """A stage as timed by the driver; ``wall_s`` includes the container's start and end."""

    name: StageName
    repeat: int = 0
    status: Literal["ok", "failed", "cached", "not_run"]
    cached: bool = False
    wall_s: float = 0.0
    guest_s: float | None = None
    peak_memory_bytes: int | None = Field(
        default=None,
        description="most memory of its processes at once, without pages of files; sampled, null "
        "where the driver does not see them",
    )
    log: str | None = None
    image: str | None = None


class TimeShare(Frozen):
    """One row of the breakdown of e2e_time; the rows add up to it."""

    what: str
    wall_s: float


class SampleFile(Frozen):
    """Raw samples beside the result: an .npy file of int64 nanoseconds."""

    name: str
    file: str
    sha256: str
    count: int
    unit: Literal["ns"] = "ns"


class Predictions(Frozen):
    """What infer's first process predicted, as one digest: names, dtypes, shapes and values."""

    sha256: str
    arrays: tuple[str, ...]
    items: int = Field(ge=0)


class Gate(Frozen):
    """The accuracy gate as applied."""

    passed: bool | None
    reference: float | None = None
    allowed_relative_drop: float
    fidelity_cosine_min: float | None = Field(
        default=None, description="the bound of the arithmetic that ran (docs/figures.md)"
    )
    drop: float | None = None
    reason: str


class Result(Frozen):
    """result.json (schema ``assay/result/1``)."""

    schema_: Literal["assay/result/1"] = Field(default="assay/result/1", alias="schema")
    job: JobKey
    status: Literal["ok", "accuracy_failed", "failed", "skipped"]
    failure: Failure | None = None
    simulated: bool = False
    weights: Weights
    data: Data
    started_utc: str
    finished_utc: str
    core_item: str
    item: str | None = Field(
        default=None, description="what bs and p_infer_whole count; older results lack it"
    )
    metrics: Metrics
    gate: Gate | None = None
    predictions: Predictions | None = None
    stages: tuple[StageRecord, ...]
    time_shares: tuple[TimeShare, ...] = ()
    samples: tuple[SampleFile, ...] = ()
    monitor: dict[str, Any] | None = None
    warnings: tuple[Warn, ...] = ()
    provenance: dict[str, Any]
    digest: str | None = Field(
        default=None, description="sha256 of this document without this field, canonical JSON"
    )
