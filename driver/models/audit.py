"""audit.json: whether the figures of a result hold when its job runs again with every check at its strictest."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from driver.models.base import Frozen, Sha256
from driver.models.job import JobKey


class Verdict(StrEnum):
    """What an audit says, of one check or of all of them."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    CANNOT_TELL = "cannot tell"


class AuditCheck(Frozen):
    """One check, its verdict, and the reason with its numbers."""

    name: Literal[
        "job",
        "gate",
        "predictions",
        "accuracy",
        "p_infer_core",
        "p_infer_whole",
        "core outputs",
        "repeated inputs",
        "seeds",
        "physics",
        "clock",
        "caches",
        "inputs",
    ]
    verdict: Verdict
    reason: str


class EarlierAudit(Frozen):
    """An audit of the same result that this one replaces."""

    verdict: Verdict
    run: Sha256
    digest: Sha256


class Audit(Frozen):
    """audit.json (schema ``assay/audit/1``), beside the audited result."""

    schema_: Literal["assay/audit/1"] = Field(default="assay/audit/1", alias="schema")
    verdict: Verdict
    result: Sha256 = Field(description="digest of the audited result")
    run: Sha256 = Field(description="digest of the result that the audit measured")
    job: JobKey
    finished_utc: str
    checks: tuple[AuditCheck, ...]
    earlier: tuple[EarlierAudit, ...] = Field(
        default=(), description="audits of the same result before this one, the oldest first"
    )
    digest: Sha256 | None = Field(
        default=None, description="sha256 of this document without this field, canonical JSON"
    )
