"""rerun.json from two results: what differs, which tolerances count, and the verdict. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from driver.errors import DataFault
from driver.models.base import problems
from driver.models.rerun import Rerun, RerunSide, Tolerances
from driver.rerun.differences import Facts, differences, is_comparison
from driver.rerun.verdict import judge, overall
from driver.system.hashing import canonical_digest

if TYPE_CHECKING:
    from driver.models.case import CaseManifest
    from driver.models.result import Result


def tolerances_of(original: Result) -> Tolerances | None:
    """Return the tolerances that a result carries, None for one that was written without.

    Raises DataFault for invalid tolerances.
    """
    carried = original.provenance.get("tolerances")
    if carried is None:
        return None
    try:
        return Tolerances.model_validate(carried)
    except ValidationError as error:
        raise DataFault(
            f"the result's tolerances are invalid: {problems(error)[0]}",
            "ask who sent the result which Assay wrote it",
        ) from error


def make_rerun(original: Result, rerun: Result, case: CaseManifest) -> Rerun:
    """Return what a rerun says of its original; ``case`` counts where the original has no tolerances."""
    carried = tolerances_of(original)
    tolerances = carried or Tolerances.of(case)
    found = differences(facts(original), facts(rerun))
    comparison = is_comparison(found)
    figures = judge(original, rerun, tolerances, comparison=comparison)
    return Rerun(
        kind="comparison" if comparison else "rerun",
        outcome=overall(figures),
        original=_side(original),
        rerun=_side(rerun),
        tolerances=tolerances,
        tolerances_from="original" if carried else "case",
        figures=figures,
        differences=tuple(found),
    )


def facts(result: Result) -> Facts:
    """Return what of a result is compared."""
    return Facts(job=result.job, provenance=result.provenance)


def _side(result: Result) -> RerunSide:
    commit = result.provenance.get("commit")
    return RerunSide(
        digest=result.digest,
        job=result.job,
        status=result.status,
        started_utc=result.started_utc,
        commit=commit if isinstance(commit, str) else None,
        metrics=result.metrics,
        predictions=result.predictions,
    )


def rerun_text(rerun: Rerun) -> str:
    """Return rerun.json, with the digest of its own content."""
    document = json.loads(rerun.model_dump_json(by_alias=True, exclude={"digest"}))
    document["digest"] = canonical_digest(document)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
