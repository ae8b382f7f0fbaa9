"""report.json: what a stage left in its out folder; the guest measures, the host computes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from driver.models.base import Clock, Failure, Frozen, StageName, Warn


class Artifact(Frozen):
    """A file of the out or cache folder, by its path relative to the job folder."""

    path: str
    bytes: int = Field(ge=0)
    sha256: str


class Warmup(Frozen):
    """What was run before the clock counted."""

    calls: int = Field(ge=0)
    wall_ns: int = Field(ge=0)
    first_call_ns: int = Field(ge=0)
    steady: bool


class Measurement(Frozen):
    """One timed loop. ``samples`` is an .npy file (int64, nanoseconds) beside the report.

    ``core``: items ÷ wall_ns is p_infer_core (p_val_core in validate); samples are the times between
    completions. ``whole``: the same from files. ``latency``: samples are single calls, one in flight.
    """

    name: Literal["core", "whole", "latency"]
    items: int = Field(ge=0)
    calls: int = Field(ge=0)
    wall_ns: int = Field(gt=0)
    started_ns: int | None = Field(
        default=None, description="CLOCK_MONOTONIC, which a container shares with its host"
    )
    in_flight: int = Field(ge=1)
    samples: str | None = None
    warmup: Warmup | None = None
    h2d_ns: int | None = None
    compute_ns: int | None = None
    d2h_ns: int | None = None
    clock: Clock = Field(
        description="whose loop this is: the harness says `harness`, and `vendor-tool` where the "
        "vendor's own tool timed; a hook that times itself says `hook`"
    )
    includes: tuple[str, ...] = ()


class Memory(Frozen):
    """Peak device memory of this stage, and the device's whole."""

    peak_bytes: int | None = None
    total_bytes: int | None = None
    source: str


class Accuracy(Frozen):
    """What the reference image scored. ``kind`` says against what."""

    kind: Literal["labels", "agreement"]
    items: int = Field(ge=0)
    values: dict[str, float]


class Fidelity(Frozen):
    """Infer's raw outputs against the fp32 golden ones."""

    items: int = Field(ge=1)
    cosine_min: float
    max_abs: float


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
"""validate and infer must measure; ``driver.outcome.check_measured`` says so in words."""


class StageReport(Frozen):
    """report.json (schema ``assay/stage-report/1``)."""

    model_config = ConfigDict(json_schema_extra=_MEASURED)

    schema_: Literal["assay/stage-report/1"] = Field(alias="schema")
    job_id: str
    stage: StageName
    repeat: int = Field(
        ge=0, description="job.json's: infer runs several times, each in a fresh process"
    )
    status: Literal["ok", "failed"]
    failure: Failure | None = None
    simulated: bool = False
    cached: bool = False
    wall_ns: int = Field(ge=0)
    versions: dict[str, str] = {}
    effective: dict[str, Any] = Field(default={}, description="settings read back, not asked for")
    artifacts: tuple[Artifact, ...] = ()
    measurements: tuple[Measurement, ...] = Field(
        default=(),
        description="validate and infer must have core and whole, infer may have latency",
    )
    memory: Memory | None = None
    accuracy: dict[Literal["infer", "validate"], Accuracy] = {}
    fidelity: Fidelity | None = None
    core_agreement: float | None = Field(
        default=None, description="share of the core loop's last outputs equal to the scored ones"
    )
    details: dict[str, Any] = {}
    warnings: tuple[Warn, ...] = ()
