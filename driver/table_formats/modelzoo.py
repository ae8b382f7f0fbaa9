"""The "Overall statistical evaluation" JSON of the ModelZoo's post-processing scripts (document 004)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.results.concerns import MARK, marks_of
from driver.table_formats.admission import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.published import StatisticalEvaluation
    from driver.models.result import Metrics, Result

TITLE = "Overall statistical evaluation"
TOP = 5


def overall_evaluation(result: Result, *, classes: int) -> str:
    """Return the document for a classification result: counts, then top-1 to top-5 in percent.

    Marks (simulated, smoke) follow the title. ``classes`` comes from the case's manifest. Raises
    UsageFault for a result without top-k accuracies, or whose accuracy is agreement with the
    reference (synthetic weights or data) instead of labels.
    """
    metrics = result.metrics
    values = _top_k(metrics)
    if metrics.acc_kind != "labels" or metrics.acc_items is None:
        raise UsageFault(
            f"job {result.job.id} was not scored against labels ({metrics.acc_kind or 'not at all'})",
            "run it with DATA=real and the published weights",
        )
    if not values:
        raise UsageFault(
            f"case {result.job.case} has no top-k accuracy; its metric is {metrics.acc_metric}",
            "choose an image-classification case",
        )
    shown = {k: f"{round(value, 2)}%" for k, value in values.items()}
    title = TITLE + marks(result) + _doubt(result)
    return _document(str(metrics.acc_items), str(classes), shown, title)


def _doubt(result: Result) -> str:
    """Return MARK and the warnings of a result whose accuracy one of them concerns, "" for others."""
    found = marks_of(result)
    return f" {MARK} {'; '.join(found.texts)}" if "acc_infer" in found.figures else ""


def printed_evaluation(evaluation: StatisticalEvaluation) -> str:
    """Return an evaluation exactly as its published document prints it."""
    shown = dict(enumerate(evaluation.top, start=1))
    return _document(evaluation.images, evaluation.classes, shown)


def _top_k(metrics: Metrics) -> dict[int, float]:
    known = dict(metrics.acc_also)
    if metrics.acc_infer is not None:
        known[metrics.acc_metric] = metrics.acc_infer
    return {k: known[f"top{k}"] for k in range(1, TOP + 1) if f"top{k}" in known}


def _document(images: str, classes: str, top: Mapping[int, str], title: str = TITLE) -> str:
    entries = [("Number of images", images), ("Number of classes", classes)]
    entries += [(f"Top{k} accuracy", shown) for k, shown in top.items()]
    value = [{"key": key, "value": shown} for key, shown in entries]
    return json.dumps({"title": title, "value": value})
