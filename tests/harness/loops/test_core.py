"""The core loop and its warm-up, in virtual time: exact, and never flaky."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.loops.virtual_device import Eager, Turns, VirtualClock, VirtualDevice, measure
from tests.harness.modules import core

MS = 1_000_000
SECOND = 1000 * MS


@pytest.mark.parametrize("in_flight", [1, 2, 7])
def test_time_on_a_device_that_only_enqueues_is_the_time_of_its_work(
    clock: VirtualClock, in_flight: int
) -> None:
    device = VirtualDevice(clock, call_ns=10 * MS, in_flight=in_flight)
    run = core.core_loop(device, Turns(5), 5, min_seconds=0)
    assert run.calls == 5
    assert run.wall_ns == 5 * 10 * MS
    assert list(run.samples_ns()) == [10 * MS] * 5


def test_an_engine_that_computes_in_submit_is_timed_from_the_first_one(clock: VirtualClock) -> None:
    device = Eager(clock, call_ns=10 * MS, in_flight=2)
    run = core.core_loop(device, Turns(5), 5, min_seconds=0)
    assert run.wall_ns == sum(run.samples_ns()) == 5 * 10 * MS


@given(
    in_flight=st.integers(1, 6),
    batches=st.integers(1, 9),
    min_ms=st.integers(0, 200),
    call_ms=st.lists(st.integers(1, 20), min_size=1, max_size=8),
)
def test_every_batch_handed_over_is_waited_for_and_counted(
    in_flight: int, batches: int, min_ms: int, call_ms: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = VirtualClock().install(patch)
        device = VirtualDevice(
            clock, call_ns=lambda n: call_ms[n % len(call_ms)] * MS, in_flight=in_flight
        )
        feed = Turns(batches)
        run = core.core_loop(device, feed, batches, min_ms / 1000)
    calls = len(device.submitted)
    assert device.waited == run.calls == calls >= batches
    assert device.submitted == [n % batches for n in range(calls)]
    assert device.most_outstanding == min(in_flight, calls)
    assert run.wall_ns == sum(run.samples_ns()) >= min_ms * MS
    assert run.wall_ns == sum(call_ms[n % len(call_ms)] * MS for n in range(calls))
    assert run.last == ((calls - 1) % batches, {"logits": (calls - 1) % batches})
    assert feed.released == feed.taken == calls


def test_waiting_for_the_device_costs_no_processor_time() -> None:
    class Sleeping(VirtualDevice):
        def wait(self, ticket: Any) -> Any:
            time.sleep(0.05)
            return super().wait(ticket)

    device = Sleeping(VirtualClock(), call_ns=MS, in_flight=2)
    before = time.process_time()
    run = core.core_loop(device, Turns(2), 2, 0.5)
    assert run.wall_ns >= 500 * MS
    assert time.process_time() - before < 0.1


def test_phases_are_summed_where_the_engine_knows_them(clock: VirtualClock) -> None:
    class Telling(VirtualDevice):
        def phases(self, ticket: Any) -> tuple[int, int, int]:
            return 1, 20, 3

    run = core.core_loop(Telling(clock, call_ns=MS), Turns(2), 2, 0)
    assert (run.knows_phases, run.phases_ns) == (True, [2, 40, 6])


def test_one_unknown_phase_makes_the_phases_unknown(clock: VirtualClock) -> None:
    class Vague(VirtualDevice):
        def phases(self, ticket: Any) -> tuple[None, int, int]:
            return None, 20, 3

    assert core.core_loop(Vague(clock, call_ns=MS), Turns(1), 1, 0).knows_phases is False
    assert core.core_loop(VirtualDevice(clock, call_ns=MS), Turns(1), 1, 0).knows_phases is False


def test_the_first_call_is_recorded_by_itself(clock: VirtualClock) -> None:
    device = VirtualDevice(clock, call_ns=lambda n: 30 * SECOND if n == 0 else 10 * MS)
    warm = core.warm_up(device, Turns(2), measure(warmup_max_seconds=60.0))
    assert warm.first_call_ns == 30 * SECOND
    assert warm.call_ns == 10 * MS
    assert warm.steady


def test_warm_up_goes_on_until_two_windows_agree(clock: VirtualClock) -> None:
    def slower_then_steady(number: int) -> int:
        return max(10, 100 - number) * MS

    device = VirtualDevice(clock, call_ns=slower_then_steady)
    warm = core.warm_up(device, Turns(1), measure())
    assert warm.steady
    assert warm.calls == len(device.submitted)
    assert warm.call_ns < 100 * MS


def test_a_device_that_still_speeds_up_is_not_steady(clock: VirtualClock) -> None:
    device = VirtualDevice(clock, call_ns=lambda n: max(10 * MS, int(400 * MS * 0.9**n)))
    warm = core.warm_up(device, Turns(1), measure())
    assert warm.steady
    assert warm.call_ns < 11 * MS


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_device_that_never_settles_ends_warm_up_at_its_limit(
    clock: VirtualClock, in_flight: int
) -> None:
    device = VirtualDevice(clock, call_ns=lambda n: (1 + n) * MS, in_flight=in_flight)
    warm = core.warm_up(device, Turns(1), measure(warmup_max_seconds=2.0, steady_tolerance=0.0))
    assert warm.steady is False
    assert 2 * SECOND <= warm.wall_ns < 3 * SECOND


def test_bursts_of_completions_count_as_steady(clock: VirtualClock) -> None:
    # Two batches finish together every 20 ms, as with two streams.
    device = VirtualDevice(clock, call_ns=lambda n: 20 * MS if n % 2 == 0 else 0, in_flight=2)
    assert core.warm_up(device, Turns(1), measure()).steady


def test_a_first_call_beyond_the_limit_is_all_the_warm_up(clock: VirtualClock) -> None:
    device = VirtualDevice(clock, call_ns=40 * SECOND)
    warm = core.warm_up(device, Turns(1), measure())
    assert (warm.calls, warm.steady, warm.call_ns) == (1, False, 40 * SECOND)


@pytest.mark.parametrize(
    ("call_ns", "min_seconds", "kept"),
    [(MS, 1.0, 32), (SECOND, 1.0, 10), (34 * SECOND, 60.0, 1), (40 * SECOND, 600.0, 15)],
)
def test_a_slow_model_makes_as_many_calls_as_one_pass_affords(
    call_ns: int, min_seconds: float, kept: int
) -> None:
    warm = SimpleNamespace(call_ns=call_ns)
    assert core.calls_of_a_pass(32, warm, measure(min_seconds=min_seconds)) == kept


@pytest.mark.parametrize(
    ("call_ns", "most_out", "expected"),
    [
        (200 * MS, 99, 0),
        (99 * MS, 99, 1),
        (16 * MS, 99, 4),
        (1 * MS, 99, 16),
        (1, 99, 16),
        (1 * MS, 10, 8),
        (1 * MS, 2, 0),
        (1 * MS, 1, 0),
    ],
)
def test_short_calls_are_posted_ahead_as_far_as_the_pool_has_room(
    call_ns: int, most_out: int, expected: int
) -> None:
    warm = core.WarmUp()
    warm.call_ns = call_ns
    engine = SimpleNamespace(ahead=16, in_flight=2)
    assert core.ahead(engine, SimpleNamespace(most_out=most_out), warm) == expected
    assert core.ahead(SimpleNamespace(ahead=0, in_flight=1), Turns(5), warm) == 0
