"""Telemetry: whoever is on the device before or after our stages is named; a broken monitor ends nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from driver.catalog import load_catalog
from driver.models.base import StageName, WarningCode
from driver.models.manifest import MonitorSpec
from driver.models.report import Measurement
from driver.monitors.reading import Reading
from driver.monitors.sampler import Sampler
from driver.monitors.sources import MonitorError
from driver.monitors.window import Sample
from driver.settings import ROOT
from driver.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Source:
    """A monitor that tells what a test says."""

    def __init__(self, *readings: Reading, error: Exception | None = None) -> None:
        self._readings, self._error = readings, error
        self.asked = 0

    def read(self) -> tuple[Reading, ...]:
        self.asked += 1
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


def watched(
    telemetry_on: Callable[[Source], Telemetry],
    monkeypatch: pytest.MonkeyPatch,
    samples: Sequence[tuple[Reading, ...]],
) -> Telemetry:
    """Return telemetry whose infer has a sample each second from 0."""
    telemetry = telemetry_on(Source(Reading(device="0")))
    with telemetry.watching(StageName.INFER, 0):
        pass
    kept = tuple(Sample(at_ns=i * 10**9, readings=one) for i, one in enumerate(samples))
    monkeypatch.setattr(Sampler, "samples", kept)
    return telemetry


@pytest.mark.parametrize(
    ("clocks", "warns"),
    [
        # Idle while loading and writing: nothing fell while it was measured.
        ([1800.0] * 6 + [1410.0] * 9 + [300.0] * 9, False),
        # Idle clocks before and after hide what fell in between.
        ([300.0] * 9 + [1410.0] * 3 + [900.0] * 6 + [1410.0] * 9, True),
    ],
)
def test_only_a_clock_that_falls_in_the_core_loop_is_throttled(
    telemetry_on: Callable[[Source], Telemetry],
    monkeypatch: pytest.MonkeyPatch,
    clocks: list[float],
    warns: bool,
) -> None:
    samples = [(Reading(device="0", clock_mhz=clock),) for clock in clocks]
    telemetry = watched(telemetry_on, monkeypatch, samples)
    start = clocks.index(1410.0)
    core = Measurement(
        name="core",
        items=1,
        calls=1,
        wall_ns=8 * 10**9,
        in_flight=1,
        clock="harness",
        started_ns=start * 10**9,
    )
    codes = {found.code for found in telemetry.warnings({0: core})}
    assert (WarningCode.THROTTLED in codes) is warns
    untold = core.model_copy(update={"started_ns": None})
    codes = {found.code for found in telemetry.warnings({0: untold})}
    assert WarningCode.THROTTLED not in codes, "a vendor's tool does not say when it measured"


def test_memory_counts_where_every_device_tells_it_and_is_never_zero_for_unknown(
    telemetry_on: Callable[[Source], Telemetry], monkeypatch: pytest.MonkeyPatch
) -> None:
    untold = [(Reading(device="0", power_w=80.0),)]
    telemetry = watched(telemetry_on, monkeypatch, untold)
    assert telemetry.stage_peak_bytes(StageName.INFER) is None
    assert telemetry.total_bytes() is None
    both = (Reading(device="0", memory_used_bytes=5), Reading(device="1", memory_used_bytes=6))
    half = (Reading(device="0", memory_used_bytes=50), Reading(device="1"))
    telemetry = watched(telemetry_on, monkeypatch, [both, half])
    assert telemetry.stage_peak_bytes(StageName.INFER) == 11


def test_one_that_failed_is_not_asked_again_for_others(
    telemetry_on: Callable[[Source], Telemetry],
) -> None:
    source = Source(error=MonitorError("hung", "it hangs"))
    telemetry = telemetry_on(source)
    telemetry.look_for_others("before")
    telemetry.look_for_others("after")
    assert source.asked == 1


@pytest.mark.parametrize(("use", "told"), [("0", 0), ("64", 2)])
@pytest.mark.parametrize("vendor", ["nvidia", "ascend", "kunlunxin", "metax"])
def test_every_vendors_tool_tells_a_foreign_load_from_an_idle_device(
    vendor: str, use: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = ROOT / "tests" / "standins" / vendor / "bin"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ASSAY_STANDIN_USE", use)
    telemetry = Telemetry(load_catalog(ROOT).vendor(vendor).manifest.monitor, "0")
    telemetry.look_for_others("before")
    telemetry.look_for_others("after")
    codes = [warning.code for warning in telemetry.warnings()]
    assert codes == [WarningCode.DEVICE_SHARED] * told


def test_a_broken_monitor_ends_nothing(telemetry_on: Callable[[Source], Telemetry]) -> None:
    telemetry = telemetry_on(Source(error=OSError("gone")))
    telemetry.look_for_others("before")
    assert telemetry.warnings() == ()
