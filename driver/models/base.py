"""The base class of all models, and the small types that they share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Clock = Literal["harness", "vendor-tool", "hook"]
DType = Literal["float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


ELEMENT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
"""Bytes of an element in memory, by arithmetic; TF32 is stored as fp32."""


class Frozen(BaseModel):
    """An immutable value; unknown keys are errors, to catch typos in manifests."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        populate_by_name=True,
        # A verb uses a few of a hundred models: each is built when it is first used.
        defer_build=True,
    )


class StageName(StrEnum):
    """The stages of a job, in order."""

    EXPORT = "export"
    COMPILE = "compile"
    VALIDATE = "validate"
    INFER = "infer"
    SCORE = "score"


class Tier(StrEnum):
    """How long a job measures: smoke run, comparable figure, publishable figure."""

    SMOKE = "smoke"
    STANDARD = "standard"
    OFFICIAL = "official"


class RunnerName(StrEnum):
    """What executes a stage."""

    DOCKER = "docker"
    APPTAINER = "apptainer"
    PROCESS = "process"
    SLURM = "slurm"


IN_CONTAINERS = frozenset({RunnerName.DOCKER, RunnerName.APPTAINER})
"""The runners that run a stage in its stack's image; the others, in a virtual environment."""


ScenarioName = Literal["offline", "singlestream", "multistream", "server"]
"""MLPerf's load scenarios."""


class FailureKind(StrEnum):
    """What a failure is attributed to; a broken machine is never attributed to the chip."""

    HOST = "host"
    IMAGE = "image"
    DATA = "data"
    EXPORT = "export"
    COMPILE = "compile"
    INFER = "infer"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CONTRACT = "contract"
    ACCURACY = "accuracy"
    INTERRUPTED = "interrupted"


class Failure(Frozen):
    """A failure: what happened, with the value, and what to type next."""

    kind: FailureKind
    stage: StageName | None = None
    message: str
    remedy: str


class WarningCode(StrEnum):
    """The closed list of warnings; each is raised in one place and has a remedy."""

    UNSTABLE = "unstable"
    DRIFT = "drift"
    NOT_STEADY = "not_steady"
    TOO_SHORT = "too_short"
    FEW_SAMPLES = "few_samples"
    THROTTLED = "throttled"
    DEVICE_SHARED = "device_shared"
    FIRST_CALL_SLOW = "first_call_slow"
    HOST_BOUND = "host_bound"
    INPUT_BOUND = "input_bound"
    SMOKE = "smoke"
    SYNTHETIC = "synthetic"
    SIMULATED = "simulated"
    NOT_ISOLATED = "not_isolated"
    UNPINNED = "unpinned"
    FOUND_STACK = "found_stack"
    EXTRA_PRIVILEGES = "extra_privileges"
    CHIP_UNCONFIRMED = "chip_unconfirmed"
    PART_OF_DEVICE = "part_of_device"
    EFFECTIVE_DIFFERS = "effective_differs"
    ARITHMETIC_UNREAD = "arithmetic_unread"
    MONITOR_FAILED = "monitor_failed"
    NOT_SIMPLIFIED = "not_simplified"
    DATA_ODD = "data_odd"
    RECOMPILED = "recompiled"
    COMPILER_WARNING = "compiler_warning"
    CORE_DISAGREES = "core_disagrees"
    WHOLE_EXCEEDS_CORE = "whole_exceeds_core"
    IMPLAUSIBLE = "implausible"
    SAME_PROCESS = "same_process"
    CLOCK_UNCHECKED = "clock_unchecked"
    SCENARIO_INVALID = "scenario_invalid"
    SCENARIO_EXCEEDS_CORE = "scenario_exceeds_core"
    STEPS_RECOMPUTED = "steps_recomputed"


class Warn(Frozen):
    """A warning, with its remedy."""

    code: WarningCode
    message: str
    remedy: str


REFERENCE = "reference"
"""The folder name of the vendor-neutral image and its hook."""


REFERENCE_STAGES = frozenset({StageName.EXPORT, StageName.SCORE})


VENDOR_STAGES = frozenset(StageName) - REFERENCE_STAGES


def problems(error: ValidationError) -> list[str]:
    """Return every problem of a document that does not match its model, each as ``key: what``."""
    return [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
