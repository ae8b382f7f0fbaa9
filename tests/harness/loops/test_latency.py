"""The latency loop, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness.loops.virtual_device import Eager, Turns, VirtualDevice, measure
from tests.harness.modules import latency

if TYPE_CHECKING:
    from tests.harness.loops.virtual_device import VirtualClock

MS = 1_000_000
SECOND = 1000 * MS


def test_latency_has_one_in_flight_and_each_call_by_itself(clock: VirtualClock) -> None:
    device = VirtualDevice(clock, call_ns=lambda n: (5 + n % 2) * MS, in_flight=4)
    run = latency.latency_loop(device, Turns(3), measure(latency_max_seconds=0.1), 8)
    assert device.most_outstanding == 1
    assert list(run.samples_ns()[:3]) == [5 * MS, 6 * MS, 5 * MS]
    assert (run.calls, run.items) == (19, 19 * 8)
    assert run.wall_ns == sum(run.samples_ns())


def test_a_call_begins_when_its_batch_is_handed_over(clock: VirtualClock) -> None:
    asked = measure(latency_min_calls=2, latency_max_seconds=0)
    run = latency.latency_loop(Eager(clock, call_ns=5 * MS), Turns(2), asked, 8)
    assert list(run.samples_ns()) == [5 * MS] * 2


def test_latency_makes_its_least_calls_even_when_they_are_slow(clock: VirtualClock) -> None:
    run = latency.latency_loop(
        VirtualDevice(clock, call_ns=SECOND), Turns(1), measure(latency_min_calls=3), 8
    )
    assert run.calls == 3
