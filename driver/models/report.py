"""report.json, which a stage leaves in its out folder. The guest measures, the host computes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from driver.models.base import Clock, Failure, Frozen, ScenarioName, StageName, Warn

LARGEST = (1 << 63) - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
SampleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}\.npy$")]
"""The name of a file in the out folder itself, never a path."""


class Artifact(Frozen):
    """A file in the out or cache folder; its path is relative to the job folder."""

    path: str
    bytes: Count
    sha256: str


class Warmup(Frozen):
    """What ran before the timed loop."""

    calls: Count
    wall_ns: Count
    first_call_ns: Count
    steady: bool


class Measurement(Frozen):
    """One timed loop. ``samples`` is an .npy file (int64, nanoseconds) beside the report.

    ``core``: items ÷ wall_ns is p_infer_core (p_val_core in validate); samples are times between
    completions. ``whole``: the same, starting from files. ``latency``: samples are single calls with
    one in flight. ``scenario``: LoadGen's runs that count, whose figures are in its logs.
    """

    name: Literal["core", "whole", "latency", "scenario"]
    items: Count
    calls: Count
    wall_ns: int = Field(gt=0, le=LARGEST)
    started_ns: Count | None = Field(
        default=None, description="CLOCK_MONOTONIC, which a container shares with its host"
    )
    in_flight: int = Field(ge=1, le=LARGEST)
    samples: SampleName | None = None
    warmup: Warmup | None = None
    h2d_ns: Count | None = None
    compute_ns: Count | None = None
    d2h_ns: Count | None = None
    clock: Clock = Field(
        description="who timed the loop: `harness`, `vendor-tool` (the vendor's own tool, run by the "
        "harness), or `hook` (a hook that times itself)"
    )
    includes: tuple[str, ...] = ()


class Memory(Frozen):
    """Peak device memory of this stage, and the device's total memory."""

    peak_bytes: Count | None = None
    total_bytes: Count | None = None
    source: str


class EngineProcess(Frozen):
    """How the engine, which is vendor code, was kept from the harness, which measures."""

    separate: bool = Field(description="false: the engine asked to share the harness's process")
    memory_hidden: bool = Field(
        default=False, description="the harness's memory cannot be read through /proc or ptrace"
    )
    inputs_locked: bool = Field(
        default=False, description="the engine's process cannot write its inputs"
    )
    landlock: int | None = Field(
        default=None,
        ge=1,
        description="version of the kernel's Landlock that kept data, labels and out from the engine; null "
        "where the kernel has none",
    )
    call_ns: Count | None = Field(
        default=None, description="an empty message to the engine's process and back"
    )


class Accuracy(Frozen):
    """The score from the reference image. ``kind`` says what predictions were compared with."""

    kind: Literal["labels", "agreement"]
    items: int = Field(ge=0)
    values: dict[str, float]


class Fidelity(Frozen):
    """Comparison of infer's raw outputs with the fp32 golden outputs."""

    items: int = Field(ge=1)
    cosine_min: float
    max_abs: float


class ProbedRate(Frozen):
    """A rate that a run of LoadGen tried for Server."""

    rate: float = Field(gt=0, description="queries/s, as they were scheduled")
    latency_ns: Count = Field(description="at the scenario's percentile")
    met: bool = Field(description="whether the run kept the latency bound, by LoadGen")


RunFolder = Annotated[str, Field(pattern=r"^performance/run_[0-9]{1,3}$")]


class ScenarioReport(Frozen):
    """What the guest says of a load scenario. Its figures are in LoadGen's own logs, below out/loadgen."""

    name: ScenarioName
    run: RunFolder = Field(description="folder of the logs of the run that counts")
    samples_a_call: float = Field(gt=0, description="mean size of the batches that it made")
    call_ns: Count = Field(description="median time of a query with nothing else on the engine")
    tried: tuple[ProbedRate, ...] = Field(default=(), description="of server: every rate, in order")
    agreement: float = Field(
        ge=0,
        le=1,
        description="share of items whose predictions in accuracy mode are those that are scored",
    )
    sampled: Count = Field(description="answers of the run that were computed again")
    largest_difference: float = Field(ge=0, description="of them, relative (docs/scenarios.md)")
    fresh_tokens_per_s: float | None = Field(
        default=None,
        gt=0,
        description="of an engine that schedules sequences by itself: its rate under a steady load of prompts "
        "that never repeat",
    )


_MEASURED: dict[str, Any] = {
    "if": {
        "properties": {"stage": {"enum": ["validate", "infer"]}, "status": {"const": "ok"}},
        "required": ["stage", "status"],
    },
    "then": {
        "required": ["measurements"],
        "properties": {
            "measurements": {
                "allOf": [
                    {"contains": {"properties": {"name": {"const": name}}, "required": ["name"]}}
                    for name in ("core", "whole")
                ]
            }
        },
    },
}
"""validate and infer must measure; ``driver.session.judging.claims`` has the error messages."""


class StageReport(Frozen):
    """report.json (schema ``assay/stage-report/1``)."""

    model_config = ConfigDict(json_schema_extra=_MEASURED)

    schema_: Literal["assay/stage-report/1"] = Field(alias="schema")
    job_id: str
    stage: StageName
    repeat: int = Field(
        ge=0, description="as in job.json: infer runs several times, each in a fresh process"
    )
    status: Literal["ok", "failed"]
    failure: Failure | None = None
    simulated: bool = False
    cached: bool = False
    wall_ns: Count
    versions: dict[str, str] = {}
    effective: dict[str, Any] = Field(
        default={}, description="settings read back from the SDK, not those requested"
    )
    artifacts: tuple[Artifact, ...] = ()
    measurements: tuple[Measurement, ...] = Field(
        default=(),
        description="validate and infer must have core and whole, infer may have latency",
    )
    memory: Memory | None = None
    accuracy: dict[Literal["infer", "validate"], Accuracy] = {}
    fidelity: Fidelity | None = None
    core_agreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the real items computed beside the core loop whose outputs equal those of "
        "the whole loop; below 0.99, the contract is broken",
    )
    core_fidelity: Fidelity | None = Field(
        default=None,
        description="score: items sampled from the core loop, computed again in fp32 from the graph",
    )
    scenario: ScenarioReport | None = Field(
        default=None, description="of infer's first process, if the job has a scenario"
    )
    engine_process: EngineProcess | None = Field(
        default=None, description="of a stage that opened an engine with the harness"
    )
    details: dict[str, Any] = {}
    warnings: tuple[Warn, ...] = ()
