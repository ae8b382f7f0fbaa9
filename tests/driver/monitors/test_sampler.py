"""The sampler samples while a job runs; a failing monitor never ends the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driver.models.base import WarningCode
from driver.models.vendor import MonitorSpec
from driver.monitors.reading import MIB, Reading
from driver.monitors.sampler import GIVE_UP_AFTER, Sampler
from tests.waiting import PATIENCE_S, wait_gone, wait_until

ROW = "GPU-1, Tesla T4, 470.82.01, 1127, 15109, 68.31, 97, 71, 1095"


@pytest.fixture
def tool(tmp_path: Path) -> Callable[[str], MonitorSpec]:
    """Make a monitor of a few lines of Python."""

    def make(body: str) -> MonitorSpec:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        path.chmod(0o755)
        return MonitorSpec(
            parser="nvidia-smi", command=(str(path),), interval_s=0.02, timeout_s=PATIENCE_S
        )

    return make


def test_samples_are_taken_and_summarised(tool: Callable[[str], MonitorSpec]) -> None:
    start = time.monotonic_ns()
    with Sampler(tool(f"print({ROW!r})")) as sampler:
        wait_until(lambda: len(sampler.samples) >= 3)
    window = sampler.window(start, time.monotonic_ns())
    assert window.memory_peak_bytes == 1127 * MIB
    assert window.power_max_w == 68.31
    assert sampler.failures == ()
    assert sampler.warning() is None
    assert sampler.clocks_mhz(start, time.monotonic_ns())[:2] == (1095.0, 1095.0)
    times = [sample.at_ns for sample in sampler.samples]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ("print('all is well')", "format", "no device all is well"),
        ("print('1, 2')", "format", "line 1: expected 9 columns"),
        ("sys.exit('NVML: driver/library version mismatch')", "exit", "exited with 1: 'NVML"),
        ("os.kill(os.getpid(), 9)", "exit", "exited with -9"),
        ("pass", "format", "printed no device"),
    ],
)
def test_failure_is_recorded_and_given_up(
    tool: Callable[[str], MonitorSpec], body: str, kind: str, expected: str
) -> None:
    with Sampler(tool(body)) as sampler:
        wait_until(lambda: any(f.times >= GIVE_UP_AFTER for f in sampler.failures))
    (failure,) = sampler.failures
    assert (failure.kind, failure.times) == (kind, GIVE_UP_AFTER)
    assert expected in failure.message
    warning = sampler.warning()
    assert warning is not None
    assert warning.code is WarningCode.MONITOR_FAILED
    assert sampler.samples == ()


def test_figures_of_a_monitor_that_complains_are_kept_and_the_result_warns(
    tool: Callable[[str], MonitorSpec],
) -> None:
    """nvidia-smi ends with 14 for a corrupted infoROM; every figure is there."""
    body = f"print({ROW!r}); print('WARNING: infoROM is corrupted'); sys.exit(14)"
    with Sampler(tool(body)) as sampler:
        wait_until(lambda: len(sampler.samples) >= GIVE_UP_AFTER)
    assert sampler.failures == ()
    assert sampler.samples[0].readings[0].power_w == 68.31
    warning = sampler.warning()
    assert warning is not None
    assert warning.code is WarningCode.MONITOR_FAILED
    assert "infoROM is corrupted" in warning.message
    assert "exited with 14" in warning.message
    assert sampler.report()["remarks"][0] == "WARNING: infoROM is corrupted"


def test_a_missing_monitor_is_called_once(tmp_path: Path) -> None:
    spec = MonitorSpec(parser="npu-smi", command=(str(tmp_path / "npu-smi"), "info"))
    with Sampler(spec) as sampler:
        wait_until(lambda: bool(sampler.failures))
    assert [(f.kind, f.times) for f in sampler.failures] == [("missing", 1)]


def test_a_file_that_is_not_executable_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "mx-smi"
    path.write_bytes(b"\x7fELF cut short")
    path.chmod(0o755)
    with Sampler(MonitorSpec(parser="mx-smi", command=(str(path),))) as sampler:
        wait_until(lambda: bool(sampler.failures))
    assert [f.kind for f in sampler.failures] == ["missing"]


def test_hung_monitor_and_its_children_are_killed(
    tool: Callable[[str], MonitorSpec], tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    body = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    spec = tool(body).model_copy(update={"timeout_s": 1.0})
    with Sampler(spec) as sampler:
        wait_until(lambda: bool(sampler.failures))
    assert sampler.failures[0].kind == "hung"
    wait_gone(int(pid_file.read_text()))


def test_one_that_hangs_after_good_answers_is_killed_when_the_stage_ends(
    tool: Callable[[str], MonitorSpec], tmp_path: Path
) -> None:
    count = tmp_path / "count"
    body = (
        f"open({str(count)!r}, 'a').write('.')\n"
        f"if os.path.getsize({str(count)!r}) > 3: time.sleep(600)\n"
        f"print({ROW!r})"
    )
    with Sampler(tool(body).model_copy(update={"timeout_s": 10 * PATIENCE_S})) as sampler:
        wait_until(lambda: count.exists() and count.stat().st_size > 3)
        began = time.monotonic()
    assert time.monotonic() - began < PATIENCE_S
    assert sampler.gave_up
    assert len(sampler.samples) == 3
    assert [f.kind for f in sampler.failures] == ["hung"]


def test_a_slow_monitor_is_waited_for_at_the_end_of_a_stage(
    tool: Callable[[str], MonitorSpec],
) -> None:
    with Sampler(tool(f"time.sleep(0.3)\nprint({ROW!r})")) as sampler:
        wait_until(lambda: len(sampler.samples) == 1)
        ended = time.monotonic_ns()
    assert sampler.samples[-1].at_ns > ended
    assert sampler.failures == ()


def test_one_failure_among_samples_is_a_warning_and_sampling_continues(tmp_path: Path) -> None:
    class Flaky:
        calls = 0

        def read(self) -> tuple[Reading, ...]:
            self.calls += 1
            if self.calls == 2:
                raise ZeroDivisionError("a fault of the parser's own")
            return (Reading(device="0", power_w=1.0),)

    spec = MonitorSpec(parser="proc", interval_s=0.01)
    with Sampler(spec, source=Flaky()) as sampler:
        wait_until(lambda: len(sampler.samples) >= 3)
    assert [(f.kind, f.times) for f in sampler.failures] == [("fault", 1)]
    warning = sampler.warning()
    assert warning is not None
    assert "a fault of the parser's own" in warning.message


def test_slow_monitor_skips_turns_instead_of_piling_up() -> None:
    class Slow:
        inside = 0
        most = 0

        def read(self) -> tuple[Reading, ...]:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.03)
            self.inside -= 1
            return (Reading(device="0"),)

    source = Slow()
    with Sampler(MonitorSpec(parser="proc", interval_s=0.001), source=source) as sampler:
        wait_until(lambda: len(sampler.samples) >= 3)
    assert source.most == 1


def test_only_the_selected_device_counts(tool: Callable[[str], MonitorSpec]) -> None:
    second = ROW.replace("GPU-1", "GPU-2").replace("1127", "99")
    spec = tool(f"print({ROW!r}); print({second!r})")
    for device, used in (("1", [99]), ("GPU-1", [1127]), (None, [1127, 99])):
        with Sampler(spec, device) as sampler:
            wait_until(lambda s=sampler: bool(s.samples))  # type: ignore[misc]
        readings = sampler.samples[0].readings
        assert [r.memory_used_bytes for r in readings] == [value * MIB for value in used]


def test_a_device_that_the_monitor_does_not_list_is_a_failure(
    tool: Callable[[str], MonitorSpec],
) -> None:
    with Sampler(tool(f"print({ROW!r})"), "5") as sampler:
        wait_until(lambda: bool(sampler.failures))
    assert "it does not list device 5, only 0" in sampler.failures[0].message


def test_vendor_without_a_monitor_has_no_samples_and_no_failure() -> None:
    with Sampler(MonitorSpec()) as sampler:
        pass
    assert (sampler.samples, sampler.failures, sampler.warning()) == ((), (), None)


def test_a_stand_in_is_recognised_by_the_mark_beside_it(
    tool: Callable[[str], MonitorSpec], tmp_path: Path
) -> None:
    spec = tool("pass")
    assert not Sampler(spec).simulated
    (tmp_path / "ASSAY-STANDIN").write_text("")
    assert Sampler(spec).simulated


def test_report_is_plain_json_with_times_since_the_start(
    tool: Callable[[str], MonitorSpec],
) -> None:
    start = time.monotonic_ns()
    with Sampler(tool(f"print({ROW!r})")) as sampler:
        wait_until(lambda: bool(sampler.samples))
    report = sampler.report(start)
    row = report["samples"][0]
    assert 0 <= row["t_s"] < PATIENCE_S
    assert row["devices"][0]["power_w"] == 68.31
    assert report["failures"] == []
