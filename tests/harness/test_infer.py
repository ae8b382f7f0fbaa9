"""The infer stage on a synchronous engine: figures, predictions, samples, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.job_folder import colours

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob


def test_every_item_is_predicted_and_the_last_partial_batch_counts(make_job: MakeJob) -> None:
    outcome = make_job(batch_size=4).with_pictures(10).run()
    report = outcome.ok
    whole = next(m for m in report.measurements if m.name == "whole")
    assert (whole.items, whole.calls) == (10, 3)
    classes = outcome.npz("predictions.npz")["classes"]
    assert classes.shape == (10, 5)
    np.testing.assert_array_equal(classes[:, 0], colours(10)[1])


@pytest.mark.parametrize("engine", ["colours", "static"])
def test_predictions_do_not_depend_on_how_the_engine_takes_batches(
    make_job: MakeJob, engine: str
) -> None:
    outcome = make_job(engine=engine, batch_size=7).with_pictures(24).run()
    outcome.ok
    np.testing.assert_array_equal(
        outcome.npz("predictions.npz")["classes"][:, 0], colours(24)[1]
    )
