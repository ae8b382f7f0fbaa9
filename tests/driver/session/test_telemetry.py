"""Telemetry: foreign load on the device is named; a broken monitor does not end the run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.models.base import StageName, WarningCode
from driver.models.report import Measurement
from driver.models.vendor import MonitorSpec
from driver.monitors.reading import Reading
from driver.monitors.sampler import Sampler
from driver.monitors.sources import MonitorError
from driver.monitors.window import Sample
from driver.session.telemetry import Telemetry
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.jobs


class Source:
    """A monitor whose readings a test sets."""

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
        monkeypatch.setattr("driver.session.telemetry.make_source", lambda _spec: source)
        monkeypatch.setattr("driver.session.telemetry.SHARING_INTERVAL_S", 0.0)
        return Telemetry(MonitorSpec(parser="nvidia-smi"), "0")

    return make


def test_a_device_in_use_by_others_is_a_warning(
    telemetry_on: Callable[[Source], Telemetry],
) -> None:
    telemetry = telemetry_on(Source(Reading(device="0", name="A100", utilisation_percent=63.0)))
    telemetry.check_sharing("before")
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
def test_an_idle_device_and_unselected_ones_are_not(
    telemetry_on: Callable[[Source], Telemetry], reading: Reading
) -> None:
    telemetry = telemetry_on(Source(reading))
    telemetry.check_sharing("after")
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
        # Idle while loading and writing: no drop during the measurement.
        ([1800.0] * 6 + [1410.0] * 9 + [300.0] * 9, False),
        # Idle clocks before and after hide the drop in between.
        ([300.0] * 9 + [1410.0] * 3 + [900.0] * 6 + [1410.0] * 9, True),
    ],
)
def test_only_a_clock_drop_in_the_core_loop_is_throttling(
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
    unwarnings = core.model_copy(update={"started_ns": None})
    codes = {found.code for found in telemetry.warnings({0: unwarnings})}
    assert WarningCode.THROTTLED not in codes, "a vendor's tool does not say when it measured"


def test_memory_needs_every_devices_figure_and_is_never_zero_for_unknown(
    telemetry_on: Callable[[Source], Telemetry], monkeypatch: pytest.MonkeyPatch
) -> None:
    unwarnings = [(Reading(device="0", power_w=80.0),)]
    telemetry = watched(telemetry_on, monkeypatch, unwarnings)
    assert telemetry.stage_peak_bytes(StageName.INFER) is None
    assert telemetry.total_bytes() is None
    both = (Reading(device="0", memory_used_bytes=5), Reading(device="1", memory_used_bytes=6))
    half = (Reading(device="0", memory_used_bytes=50), Reading(device="1"))
    telemetry = watched(telemetry_on, monkeypatch, [both, half])
    assert telemetry.stage_peak_bytes(StageName.INFER) == 11


def test_a_monitor_that_gave_up_is_not_called_again(
    telemetry_on: Callable[[Source], Telemetry],
) -> None:
    source = Source(error=MonitorError("hung", "it hangs"))
    telemetry = telemetry_on(source)
    telemetry.check_sharing("before")
    telemetry.check_sharing("after")
    assert source.asked == 1


@pytest.mark.parametrize(("use", "warnings"), [("0", 0), ("64", 2)])
@pytest.mark.parametrize("vendor", ["nvidia", "ascend", "kunlunxin", "metax"])
def test_every_vendors_tool_distinguishes_foreign_load_from_idle(
    vendor: str, use: str, warnings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = ROOT / "tests" / "standins" / vendor / "bin"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ASSAY_STANDIN_USE", use)
    telemetry = Telemetry(load_catalog(ROOT).vendor(vendor).manifest.monitor, "0")
    telemetry.check_sharing("before")
    telemetry.check_sharing("after")
    codes = [warning.code for warning in telemetry.warnings()]
    assert codes == [WarningCode.DEVICE_SHARED] * warnings


def test_a_broken_monitor_does_not_end_the_run(telemetry_on: Callable[[Source], Telemetry]) -> None:
    telemetry = telemetry_on(Source(error=OSError("gone")))
    telemetry.check_sharing("before")
    assert telemetry.warnings() == ()
