"""Sampled calls: each as likely as any other, copied in time, and computed again."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.inputs.test_core_pool import pool_of
from tests.harness.job_folder import job_document
from tests.harness.modules import contract, core_check, core_samples, errors
from tests.harness.modules import job as job_module

if TYPE_CHECKING:
    from pathlib import Path


class Sums:
    """An engine whose outputs are an item's sum and its square; ``late`` outputs are of the call before."""

    def __init__(self) -> None:
        self.late = False
        self._last: Any = None
        self.empty = np.empty

    def submit(self, inputs: Any) -> Any:
        return inputs

    def wait(self, ticket: Any) -> Any:
        total = ticket["input"].reshape(len(ticket["input"]), -1).sum(axis=1)
        found = np.stack([total, total**2], axis=1)
        outputs, self._last = (self._last if self.late else found), found
        return {"logits": outputs}


def job(folder: Path, batch_size: int = 4) -> Any:
    document = job_document(
        batch_size=batch_size,
        inputs=[{"name": "input", "shape": [3, 5, 5]}],
        outputs=[{"name": "logits", "shape": [2]}],
    )
    return job_module.Job(folder, document, "infer")


def sampled(folder: Path, calls: int, *, engine: Any = None, batch_size: int = 4) -> Any:
    """Run ``calls`` calls; return the pool, the samples and the check."""
    engine = engine or Sums()
    one = job(folder, batch_size)
    pool = pool_of(batch_size=batch_size)
    declared = contract.OutputContract(one)
    kept = core_samples.CoreSamples(pool, declared, one, call_ns=1)
    engine.wait(engine.submit(pool.first()))
    for call in range(1, calls + 1):
        inputs = pool.take()
        outputs = engine.wait(engine.submit(inputs))
        if call == kept.next_call:
            kept.keep(inputs, outputs)
        pool.release()
    kept.keep_last(calls, inputs, outputs)
    return pool, kept.samples(), core_check.CoreCheck(engine, declared, one)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("calls", [1, 5, 400])
def test_an_honest_engine_agrees_with_itself(tmp_path: Path, calls: int, batch_size: int) -> None:
    pool, samples, check = sampled(tmp_path, calls, batch_size=batch_size)
    check.run(pool, samples)
    assert check.largest < 1e-6
    assert check.real
    # The last call may be among the eight that were drawn.
    assert len({sample.call for sample in samples}) in {min(calls, 8), min(calls, 9)}


def test_outputs_of_the_call_before_are_found(tmp_path: Path) -> None:
    engine = Sums()
    engine.late = True
    pool, samples, check = sampled(tmp_path, 40, engine=engine)
    engine.late = False
    with pytest.raises(errors.StageFailure, match="sampled from the core loop") as caught:
        check.run(pool, samples)
    assert caught.value.kind == "contract"


def test_each_call_is_as_likely_to_be_kept_as_any_other(tmp_path: Path) -> None:
    counted: Counter[int] = Counter()
    for _ in range(400):
        counted.update({sample.call for sample in sampled(tmp_path, 40)[1]})
    # Eight of 40 calls, 400 times: 80 each, with a standard deviation of 8; the last one every time.
    assert all(40 < counted[call] < 120 for call in range(1, 40)), counted
    assert counted[40] == 400


def test_a_nan_in_a_sampled_call_ends_the_stage(tmp_path: Path) -> None:
    class Broken(Sums):
        def wait(self, ticket: Any) -> Any:
            outputs = super().wait(ticket)
            outputs["logits"][:] = np.nan
            return outputs

    with pytest.raises(errors.StageFailure, match=r"of call \d+ of the core loop"):
        sampled(tmp_path, 3, engine=Broken())


def test_real_items_must_have_the_outputs_of_the_whole_loop(tmp_path: Path) -> None:
    pool, samples, check = sampled(tmp_path, 5)
    check.run(pool, samples)
    honest = Sums().wait(pool.first())["logits"]
    written = SimpleNamespace(raw_written=lambda: {"logits": honest})
    assert check.agreement(written) == 1.0
    assert check.agreement(SimpleNamespace(raw_written=dict)) is None
    written = SimpleNamespace(raw_written=lambda: {"logits": honest * 1.01})
    with pytest.raises(errors.StageFailure, match="beside the core loop"):
        check.agreement(written)


def test_a_single_real_item_with_other_outputs_is_found(tmp_path: Path) -> None:
    pool, samples, check = sampled(tmp_path, 5)
    check.run(pool, samples)
    honest = Sums().wait(pool.first())["logits"]
    honest[max(check.real)] *= 1.01
    written = SimpleNamespace(raw_written=lambda: {"logits": honest})
    with pytest.raises(errors.StageFailure, match=r"^1 of \d+ items have other outputs"):
        check.agreement(written)


def test_outputs_of_half_a_batch_break_the_contract_in_core_too(tmp_path: Path) -> None:
    class Half(Sums):
        def wait(self, ticket: Any) -> Any:
            return {"logits": super().wait(ticket)["logits"][:2]}

    with pytest.raises(errors.StageFailure, match=r"has shape \[2, 2\], expected \[4, 2\]"):
        sampled(tmp_path, 3, engine=Half())


def test_the_samples_that_the_reference_gets_include_the_last_call(tmp_path: Path) -> None:
    pool, samples, _ = sampled(tmp_path, 100)
    arrays = core_check.written(samples, pool.constants)
    assert sorted(arrays) == ["constant:step", "input:input", "output:logits"]
    assert len(arrays["input:input"]) == len(arrays["output:logits"]) == core_check.WRITTEN_ITEMS
    np.testing.assert_array_equal(arrays["input:input"][-1], samples[-1].inputs["input"][0])
    expected = Sums().wait({"input": arrays["input:input"]})["logits"]
    np.testing.assert_allclose(arrays["output:logits"], expected, rtol=1e-6)
