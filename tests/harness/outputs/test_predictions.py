"""What a case's decode() returns is checked before it is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness.modules import errors, predictions, task


def test_a_decoded_array_of_another_length_breaks_the_contract() -> None:
    class Short(task.Task):  # type: ignore[misc]
        def decode(self, found: Any) -> Any:
            return {"number": np.zeros(1, np.int64)}

    kept = predictions.DecodedPredictions(Short(None), ["1", "2"], 0)
    with pytest.raises(errors.StageFailure, match=r"int64 \[1\] for 2 items") as caught:
        kept.add(0, 2, {"logits": np.zeros((2, 2), np.float32)})
    assert caught.value.kind == "contract"
