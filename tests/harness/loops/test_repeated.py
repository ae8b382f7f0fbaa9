"""Repeated inputs against fresh ones: what remembers is faster with the former, what computes is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.inputs.test_core_pool import pool_of
from tests.harness.loops.virtual_device import VirtualClock, VirtualDevice
from tests.harness.modules import repeated

MS = 1_000_000


class Remembering(VirtualDevice):
    """Takes no time for a batch whose content it has seen before."""

    def __init__(self, clock: VirtualClock, *, call_ns: int, in_flight: int = 1) -> None:
        super().__init__(clock, call_ns=self._call_ns, in_flight=in_flight)
        self._usual_ns = call_ns
        self._known: set[int] = set()
        self._hit = False

    def submit(self, inputs: Any) -> tuple[int, Any]:
        content = hash(inputs["input"].tobytes())
        self._hit = content in self._known
        self._known.add(content)
        return super().submit(inputs)

    def _call_ns(self, _number: int) -> int:
        return MS // 10 if self._hit else self._usual_ns


@pytest.mark.parametrize("in_flight", [1, 3])
def test_an_engine_that_computes_is_as_fast_with_both(clock: VirtualClock, in_flight: int) -> None:
    device = VirtualDevice(clock, call_ns=10 * MS, in_flight=in_flight)
    found = repeated.repeated_against_fresh(device, pool_of(), 1.0)
    assert {name: len(rates) for name, rates in found.items()} == {"fresh": 10, "repeated": 10}
    assert set(found["fresh"]) == set(found["repeated"]) == {100.0}


def test_an_engine_that_remembers_batches_is_faster_with_repeated_ones(clock: VirtualClock) -> None:
    found = repeated.repeated_against_fresh(Remembering(clock, call_ns=10 * MS), pool_of(), 1.0)
    assert set(found["fresh"]) == {100.0}
    assert min(found["repeated"]) > 9000.0


def test_the_repeated_batch_is_real_items_that_never_change() -> None:
    pool = pool_of()
    feed = repeated.RepeatedBatch(pool)
    before = feed.take()["input"].copy()
    for _ in range(50):
        inputs = feed.take()
        feed.release()
    assert (inputs["input"] == before).all()
    assert (before == pool.first()["input"]).all()
    assert inputs["input"].base is None, "it is no window of the pool"


@pytest.mark.parametrize(
    ("min_seconds", "seconds"), [(1.0, 0.25), (20.0, 1.0), (60.0, 3.0), (600.0, 3.0)]
)
def test_a_longer_core_loop_has_longer_rounds(
    clock: VirtualClock, min_seconds: float, seconds: float
) -> None:
    started = clock.ns
    repeated.repeated_against_fresh(VirtualDevice(clock, call_ns=MS), pool_of(), min_seconds)
    assert (clock.ns - started) / 1e9 == pytest.approx(20 * seconds, rel=0.02)
