"""Telemetry: whoever is on the device before or after our stages is named; a broken monitor ends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.models.base import WarningCode
from driver.models.manifest import MonitorSpec
from driver.monitors.reading import Reading
from driver.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable


class Source:
    """A monitor that tells what a test says."""

    def __init__(self, *readings: Reading, error: Exception | None = None) -> None:
        self._readings, self._error = readings, error

    def read(self) -> tuple[Reading, ...]:
        if self._error is not None:
            raise self._error
        return self._readings


@pytest.fixture
def telemetry_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Source], Telemetry]:
    def make(source: Source) -> Telemetry:
        monkeypatch.setattr("driver.telemetry.make_source", lambda _spec: source)
        monkeypatch.setattr("driver.telemetry.LOOK_S", 0.0)
        return Telemetry(MonitorSpec(parser="nvidia-smi"), "0")

    return make


def test_a_device_in_use_by_others_is_said(telemetry_on: Callable[[Source], Telemetry]) -> None:
    telemetry = telemetry_on(Source(Reading(device="0", name="A100", utilisation_percent=63.0)))
    telemetry.look_for_others("before")
    (found,) = telemetry.warnings()
    assert found.code is WarningCode.DEVICE_SHARED
    assert "before the job" in found.message
    assert "A100 at 63 %" in found.message


@pytest.mark.parametrize(
    "reading",
    [
        Reading(device="0", utilisation_percent=3.0),
        Reading(device="1", utilisation_percent=90.0),
        Reading(device="0", utilisation_percent=None),
    ],
)
def test_an_idle_device_and_somebody_elses_are_not(
    telemetry_on: Callable[[Source], Telemetry], reading: Reading
) -> None:
    telemetry = telemetry_on(Source(reading))
    telemetry.look_for_others("after")
    assert telemetry.warnings() == ()


def test_a_broken_monitor_ends_nothing(telemetry_on: Callable[[Source], Telemetry]) -> None:
    telemetry = telemetry_on(Source(error=OSError("gone")))
    telemetry.look_for_others("before")
    assert telemetry.warnings() == ()
