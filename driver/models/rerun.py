"""rerun.json: whether a new result reproduces an earlier one, by tolerances declared before the run."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from driver.models.base import Frozen, Sha256
from driver.models.job import JobKey
from driver.models.result import Metrics, Predictions

if TYPE_CHECKING:
    from driver.models.case import CaseManifest


class Outcome(StrEnum):
    """What a rerun says of a figure, or of all of them."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"


class Weight(StrEnum):
    """What a difference between a result and its rerun means."""

    ANOTHER_JOB = "another job"
    COMPARISON = "comparison"
    NAMED = "named"


class Tolerances(Frozen):
    """How far figures may differ; a result carries them, so that nobody moves the goal later."""

    throughput_fraction: float
    predictions: Literal["identical", "fidelity"]
    cosine_min: float | None = None
    accuracy_relative: float = Field(description="the gate's relative_drop, in both directions")
    reason: str = ""

    @classmethod
    def of(cls, case: CaseManifest) -> Tolerances:
        """Return what a case declares in [rerun] and [gate] of its case.toml."""
        spec, gate = case.rerun, case.gate
        bound = gate.fidelity_cosine_min if spec.cosine_min is None else spec.cosine_min
        return cls(
            throughput_fraction=spec.throughput_fraction,
            predictions=spec.predictions,
            cosine_min=bound,
            accuracy_relative=gate.relative_drop,
            reason=spec.reason,
        )


class RerunFigure(Frozen):
    """One figure of both results. ``ratio`` is the rerun's value ÷ the original's."""

    name: Literal["predictions", "accuracy", "p_infer_core", "p_infer_whole"]
    outcome: Outcome
    original: float | str | None
    rerun: float | str | None
    ratio: float | None = None
    allowed: str = Field(description="the tolerance, in words")
    reason: str


class RerunDifference(Frozen):
    """Something in which the rerun is not the original, with both values."""

    what: str
    original: str
    rerun: str
    weight: Weight


class RerunSide(Frozen):
    """One of the two results."""

    digest: Sha256 | None
    job: JobKey
    status: str
    started_utc: str
    commit: str | None = None
    metrics: Metrics
    predictions: Predictions | None = None


class Rerun(Frozen):
    """rerun.json (schema ``assay/rerun/1``), beside the result of the rerun."""

    schema_: Literal["assay/rerun/1"] = Field(default="assay/rerun/1", alias="schema")
    kind: Literal["rerun", "comparison"] = Field(
        description="`comparison`: another chip, driver, processor or stack, so speed is not judged"
    )
    outcome: Outcome
    original: RerunSide
    rerun: RerunSide
    tolerances: Tolerances
    tolerances_from: Literal["original", "case"] = Field(
        description="`case`: the original carries none, so those of this tree's case count"
    )
    figures: tuple[RerunFigure, ...]
    differences: tuple[RerunDifference, ...] = ()
    digest: Sha256 | None = Field(
        default=None, description="sha256 of this document without this field, canonical JSON"
    )
