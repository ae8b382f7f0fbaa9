"""A report is a claim, and what a stage leaves is a stranger's: neither gets a figure into a result."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.base import FailureKind, RunnerName, StageName, Tier, WarningCode
from driver.models.report import Measurement, Memory
from driver.results.received import watch
from driver.session.judging import claims
from driver.session.result import exit_code
from driver.session.warnings import _clock_unchecked
from tests.driver.session.test_run import Lab, nothing_left

if TYPE_CHECKING:
    from driver.models.result import Result
    from driver.session.run import FinishedJob

pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab for tests that let a hook claim something once, and change nothing else."""
    return Lab(tmp_path_factory.mktemp("warm")).warmed()


def refused(warm: Lab, code: str, stage: StageName = StageName.INFER) -> Result:
    """Run a job whose hook does ``code`` after its good report; return its result, read from disk."""
    words = f"python:import numpy as np, subprocess, zipfile\n{code}"
    finished = warm.behave_once(stage, words)
    result = finished.result
    assert result.failure is not None, "it was accepted"
    assert (result.failure.kind, result.failure.stage) == (FailureKind.CONTRACT, stage)
    assert exit_code(result) == 5
    assert result.metrics.p_infer_core is None
    assert json.loads((finished.folder / "result.json").read_text())["status"] == "failed"
    assert nothing_left(warm)
    assert not secrets_in(finished)
    return result


SECRET = b"for root alone"


def secrets_in(finished: FinishedJob) -> list[Path]:
    files = [path for path in finished.folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET in path.read_bytes() or path.is_symlink()]


def measured(**core: Any) -> str:
    """Return code that reports a changed core loop."""
    return f"leave(document(measurements=[dict(loop('core'), **{core!r}), loop('whole')]))"


def sampled(array: str, **core: Any) -> str:
    return f"np.save(out / 'core.npy', {array})\n" + measured(**{"samples": "core.npy", **core})


GOOD_SAMPLES = "np.array([400_000, 600_000])"
CLAIMS = {
    "two core loops": (
        "leave(document(measurements=[loop('core'), loop('core'), loop('whole')]))",
        "2 loops called core",
    ),
    "ten times the items": (measured(items=40), "40 items in the core loop, but 2 calls of 2 are 4"),
    "fewer items": (measured(items=3), "3 items in the core loop"),
    "no calls": (measured(calls=0), "0 calls and 4 items in the core loop"),
    "no items": (measured(items=0, calls=0), "0 calls and 0 items in the core loop"),
    "negative items": (measured(items=-4), "items: Input should be greater"),
    "half an item": (measured(items=4.5), "items: Input should be a valid integer"),
    "more than 64 bits": (measured(items=10**30), "64 bits"),
    "no time": (measured(wall_ns=0), "wall_ns: Input should be greater"),
    "negative compute": (measured(compute_ns=-1), "compute_ns: Input should be greater"),
    "negative memory": (
        "leave(document(memory={'peak_bytes': -5, 'total_bytes': 9, 'source': 'x'}))",
        "memory.peak_bytes: Input should be greater",
    ),
    "more memory than there is": (
        "leave(document(memory={'peak_bytes': 10, 'total_bytes': 9, 'source': 'x'}))",
        "a peak of 10 bytes of memory, but 9 bytes in total",
    ),
    "agreement of 2": ("leave(document(core_agreement=2))", "core_agreement"),
    "infinite": ("(out / 'report.json').write_text(json.dumps(document()).replace('3000000', '1e999'))", "too large"),
    "fewer samples": (sampled("np.array([1_000_000])"), "2 calls in the core loop, but 1 sample"),
    "more samples": (sampled("np.array([1, 2, 3])"), "2 calls in the core loop, but 3 samples"),
    "float samples": (sampled(f"{GOOD_SAMPLES} / 1.0"), "holds float64"),
    "negative samples": (sampled("np.array([2_000_000, -1_000_000])"), "a sample of -1000000 ns"),
    "shorter samples": (sampled("np.array([1000, 1000])"), "its samples are 2e-06 s together"),
    "longer samples": (sampled("np.array([10**9, 10**9])"), "its samples are 2 s together"),
    "absurd samples": (sampled("np.array([2**62, 2**62])"), "s together"),
    "no file of samples": (measured(samples="core.npy"), "core.npy of the core loop is missing"),
    "samples elsewhere": (measured(samples="../core.npy"), "samples: String should match"),
    "samples of the host": (measured(samples="/etc/core.npy"), "samples: String should match"),
    "pickled samples": (sampled("np.array([{}, {}], dtype=object)"), "not plain numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_contradict_each_other_are_refused(warm: Lab, name: str) -> None:
    code, said = CLAIMS[name]
    failure = refused(warm, code).failure
    assert failure is not None
    assert any(part in failure.message for part in said.split("|"))


@pytest.mark.parametrize("stage", [StageName.VALIDATE, StageName.INFER])
def test_samples_that_fit_are_kept(warm: Lab, stage: StageName) -> None:
    words = "python:import numpy as np\n" + sampled(GOOD_SAMPLES)
    finished = warm.behave_once(stage, words)
    assert finished.result.failure is None
    (kept,) = finished.result.samples
    assert (kept.name, kept.count) == (f"{stage}-0-core", 2)
    assert (finished.folder / kept.file).is_file()


def test_latency_comes_from_the_latency_loop_and_from_no_file_of_that_name(warm: Lab) -> None:
    words = f"python:import numpy as np\nnp.save(out / 'latency.npy', {GOOD_SAMPLES})\n" + measured(
        samples="latency.npy"
    )
    result = warm.behave_once(StageName.INFER, words).result
    assert result.failure is None
    assert result.metrics.latency_ms.samples == 0


AT_CORE = "; " + measured(samples="core.npy")
FILES = {
    "samples a link to a file of root": "(out / 'core.npy').symlink_to(SECRET)" + AT_CORE,
    "samples a hard link": "(out / 'core.npy').hardlink_to(SECRET)" + AT_CORE,
    "samples a link to an endless device": "(out / 'core.npy').symlink_to('/dev/zero')" + AT_CORE,
    "samples a pipe": "os.mkfifo(out / 'core.npy')" + AT_CORE,
    "report a pipe": "(out / 'report.json').unlink(); os.mkfifo(out / 'report.json')",
    "report a link": "(out / 'report.json').rename(out / 'x'); (out / 'report.json').symlink_to('x')",
    "report an endless device": "(out / 'report.json').unlink(); (out / 'report.json').symlink_to('/dev/zero')",
    "report a folder": "(out / 'report.json').unlink(); (out / 'report.json').mkdir()",
    "report a hard link": "(out / 'x').hardlink_to(out / 'report.json')",
    "report of 17 MiB": "os.truncate(out / 'report.json', 17 << 20)",
    "report that nests": "(out / 'report.json').write_text('[' * 100_000 + ']' * 100_000)",
    "report with half a surrogate": "leave(document(details={'x': '\\ud800'}))",
    "picture a link": "(out / 'pictures').mkdir(); (out / 'pictures' / '1.png').symlink_to(SECRET)",
    "pictures a link": "(out / 'pictures').symlink_to(SECRET.parent)",
    "predictions a link to golden": "(out / 'predictions.npz').symlink_to('/job/golden/golden.npz')",
    "raw a link to golden": "(out / 'raw.npz').symlink_to('/job/golden/golden.npz')",
    "predictions pickled": "np.savez(out / 'predictions.npz', classes=np.array([{}], dtype=object))",
    "predictions no archive": "(out / 'predictions.npz').write_bytes(b'x' * 1000)",
    "raw cut": "np.savez(out / 'raw.npz', a=np.zeros(9)); os.truncate(out / 'raw.npz', 99)",
    "a link that nobody reads": "(out / 'x').symlink_to('/')",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_the_stages_own_are_refused(
    warm: Lab, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secrets" / "1.png"
    secret.parent.mkdir()
    secret.write_bytes(SECRET)
    refused(warm, f"SECRET = pathlib.Path({str(secret)!r})\n{FILES[name]}")
    assert secret.read_bytes() == SECRET


@pytest.mark.parametrize(
    "odd",
    [
        "os.mkfifo(out / 'progress.json')",
        "(out / 'progress.json').symlink_to('/dev/zero')",
        "(out / 'progress.json').write_bytes(b' ' * (1 << 20))",
    ],
)
def test_an_odd_progress_file_ends_the_stage_and_not_the_driver(warm: Lab, odd: str) -> None:
    failure = refused(warm, f"{odd}\ntime.sleep(600)").failure
    assert failure is not None
    assert "left a progress file that is refused" in failure.message


@pytest.mark.parametrize("text", ["[" * 50_000, '{"done": 1e400}', '{"phase": 1, "done": "x"}', ""])
def test_progress_that_cannot_be_read_is_not_shown_and_ends_nothing(warm: Lab, text: str) -> None:
    words = f"python:(out / 'progress.json').write_text({text!r}); time.sleep(1)"
    assert warm.behave_once(StageName.INFER, words).result.failure is None


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        ("(out / 'x').write_bytes(bytes(30 << 20))", "bytes to its out folder, more than"),
        ("[(out / str(n)).touch() for n in range(200)]", "files in its out folder, more than 100"),
    ],
)
def test_an_out_folder_beyond_its_quota_ends_the_stage(
    warm: Lab, monkeypatch: pytest.MonkeyPatch, fill: str, said: str
) -> None:
    monkeypatch.setattr(watch, "OUT_BASE_BYTES", 1 << 20)
    monkeypatch.setattr(watch, "OUT_ENTRIES", 100)
    failure = refused(warm, f"{fill}\ntime.sleep(600)").failure
    assert failure is not None
    assert said in failure.message
    assert failure.message.endswith("it was stopped")


def test_memory_beyond_the_device_is_refused(warm: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "driver.session.telemetry.Telemetry.total_bytes"
    monkeypatch.setattr(said, lambda _self: 24 << 30)
    honest = (
        "leave(document(memory={'peak_bytes': 1 << 30, 'total_bytes': 24 << 30, 'source': 'x'}))"
    )
    result = warm.behave_once(StageName.INFER, f"python:{honest}").result
    assert result.metrics.mem_gib == 1.0
    failure = refused(warm, honest.replace("24 <<", "80 <<")).failure
    assert failure is not None
    assert "the monitor says that the device has 25,769,803,776" in failure.message


def loop(**changes: Any) -> Measurement:
    values = {"name": "core", "items": 8, "calls": 2, "wall_ns": 1000, "in_flight": 1}
    return Measurement.model_validate(values | {"clock": "harness"} | changes)


def test_what_harness_and_tools_really_report_is_believed() -> None:
    import numpy as np

    from tests.driver.jobs import make_job

    job = make_job()
    one_pass = job.model_copy(
        update={"measure": job.measure.model_copy(update={"single_pass": True})}
    )
    assert claims._of_items(job, loop(name="whole", items=5)) is None, "the last batch is partial"
    assert claims._of_items(one_pass, loop(items=5)) is None
    assert claims._of_items(job, loop(items=11, clock="vendor-tool")) is None
    assert claims._of_items(job, loop(items=12, clock="vendor-tool")) is not None
    times = np.array([400, 500])
    assert claims.of_samples(loop(name="whole"), times) is None, (
        "predictions are written at the end"
    )
    assert claims.of_samples(loop(), times) is not None
    assert claims.of_samples(loop(wall_ns=900), times) is None
    assert claims.of_samples(loop(clock="vendor-tool"), times * 9) is None, "single calls overlap"
    assert claims.of_samples(loop(clock="hook"), times) is None, "a hook may round to microseconds"
    assert claims.beyond_device(Memory(peak_bytes=1, source="x"), None) is None


@pytest.mark.parametrize(("calls", "fits"), [(8, True), (9, False), (4, True)])
def test_a_language_models_core_loop_has_whole_sequences(calls: int, *, fits: bool) -> None:
    job: Any = SimpleNamespace(generation=SimpleNamespace(tokens=4))
    found = claims._of_sequences(job, loop(calls=calls))
    assert found == (
        None if fits else "9 calls in the core loop, which are no whole sequences of 4 tokens"
    )


def test_samples_whose_sum_wraps_around_to_the_right_time_are_refused() -> None:
    import numpy as np

    largest = (1 << 63) - 1
    times = np.array([largest, largest, 1000 + 2])
    assert int(times.sum()) == 1000
    assert "together" in str(claims.of_samples(loop(calls=3, items=12), times))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_report_of_another_user_is_refused(warm: Lab) -> None:
    refused(warm, "os.chown(out / 'report.json', 4242, 4242)")


ANSWERS = """
import socket
os.chdir(folder / 'clock')
driver = socket.socket(socket.AF_UNIX)
driver.connect('socket')
start = time.monotonic_ns()
now = lambda: int((time.monotonic_ns() - start) * {rate})
while now() < 400_000_000:
    driver.recv(1)
    driver.sendall(f'!\\n{{now()}} core\\n'.encode())
claim = dict(wall_ns=now(), started_ns=0)
leave(document(measurements=[dict(loop('core'), **claim), loop('whole')]))
"""


def test_a_loop_that_took_longer_by_the_drivers_clock_breaks_the_contract(warm: Lab) -> None:
    failure = refused(warm, ANSWERS.format(rate=0.5)).failure
    assert failure is not None
    assert "by the driver's clock" in failure.message


def test_the_result_has_each_loop_by_both_clocks(warm: Lab) -> None:
    result = warm.behave_once(StageName.INFER, f"python:{ANSWERS.format(rate=1)}").result
    assert result.status == "ok"
    core = result.provenance["clock"]["infer-0"]["loops"]["core"]
    assert core["guest_s"] > 0.4
    assert abs(core["guest_s"] - core["driver_s"]) <= core["within_s"] + 2e-6


OWN_CLOCK = (
    "leave(document(measurements=[dict(loop(n), clock='harness') for n in ('core', 'whole')]))"
)


def test_a_harness_that_does_not_answer_is_marked_and_refused_at_official(lab: Lab) -> None:
    hook = lab.root / "vendor_hooks" / "acme" / "hook"
    hook.write_text(hook.read_text() + "# python3 -m harness\n")
    lab.behave(infer=f"python:{OWN_CLOCK}")
    result = lab.run().result
    assert result.status == "ok"
    assert WarningCode.CLOCK_UNCHECKED in {one.code for one in result.warnings}
    assert result.provenance["clock"]["infer-0"]["unchecked"] == ["core", "whole"]
    apart = OWN_CLOCK.removesuffix("))") + ", engine_process={'separate': True}))"
    lab.behave(validate=f"python:{apart}", infer=f"python:{apart}")
    official = lab.run(tier=Tier.OFFICIAL).result
    assert official.failure is not None
    assert (official.status, exit_code(official)) == ("failed", 5)
    assert "did not tell the time" in official.failure.message


def test_a_cluster_whose_nodes_cannot_answer_is_not_marked(lab: Lab) -> None:
    """Its provenance says that nothing was checked."""
    recording = SimpleNamespace(
        planned=SimpleNamespace(key=SimpleNamespace(runner=RunnerName.SLURM)),
        provenance={"clock": {"infer-0": {"answers": 0, "loops": {}, "unchecked": ["core"]}}},
    )
    assert _clock_unchecked(recording) is None  # type: ignore[arg-type]
    recording.planned.key.runner = RunnerName.PROCESS
    assert _clock_unchecked(recording) is not None  # type: ignore[arg-type]
