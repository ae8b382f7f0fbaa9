"""The share of busy cores that the tests' summary ends with."""

from __future__ import annotations

from tests.cores import CoreTimes, busy_share, core_times

STAT = """cpu  100 5 20 800 60 1 4 10 30 2
cpu0 50 5 10 400 30 1 2 5 15 1
"""


def test_guests_are_not_counted_twice_and_waiting_for_a_disk_is_idle() -> None:
    assert core_times(STAT) == CoreTimes(idle=860, total=1000)


def test_the_share_is_that_between_two_readings() -> None:
    assert busy_share(CoreTimes(idle=100, total=200), CoreTimes(idle=125, total=300)) == 0.75


def test_two_readings_at_once_have_no_share() -> None:
    assert busy_share(CoreTimes(idle=1, total=2), CoreTimes(idle=1, total=2)) == 0.0
