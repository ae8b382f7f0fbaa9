"""The engine in a process of its own: what it cannot reach, and how its end is reported."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.job_folder import CLASSES
from tests.harness.modules import kernel
from tests.harness.test_entry import hook_with_engine
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import Outcome

needs_landlock = pytest.mark.skipif(
    kernel.landlock_version() is None, reason="this kernel has no Landlock"
)

ENGINE = """
import ctypes, os, pathlib, signal, subprocess, sys, time
import numpy as np
from harness.engine import Engine


class Odd(Engine):
    said = "nothing"

    def load(self):
        return {{"precision": "fp32", "arithmetic": "fp32"}}

    def infer(self, inputs):
        array = inputs["input"]
{body}
        return {{"logits": self.compute(array)}}

    def compute(self, array):
        means = array.mean(axis=(2, 3), dtype=np.float32)
        return np.concatenate([means, np.full((len(array), 3), -100, np.float32)], axis=1)

    def versions(self):
        return {{"said": str(self.said)}}
{members}

ENGINE = Odd
"""


def run(
    make_job: MakeJob, folder: Path, body: str = "", members: str = "", stage: str = "infer"
) -> Outcome:
    """Run a stage of an engine with ``body`` in its infer()."""
    source = ENGINE.format(
        body=textwrap.indent(textwrap.dedent(body), " " * 8),
        members=textwrap.indent(textwrap.dedent(members), " " * 4),
    )
    hook = hook_with_engine(folder / "hook", "odd", source)
    return make_job(hook=hook, engine="odd").with_pictures(9).run(stage)


def attempted(statement: str) -> str:
    return f"try:\n    {statement}\n    self.said = 'done'\nexcept OSError as error:\n    self.said = type(error).__name__\n"


def test_the_report_says_how_the_engine_is_kept_apart(make_job: MakeJob, tmp_path: Path) -> None:
    found = run(make_job, tmp_path).ok.engine_process
    assert found is not None
    assert (found.separate, found.memory_hidden) == (True, True)
    assert found.landlock == kernel.landlock_version()
    assert found.call_ns
    assert found.call_ns > 0


def test_compile_runs_in_the_engines_process_too(make_job: MakeJob, tmp_path: Path) -> None:
    members = "def compile(self):\n    return {'pid': os.getpid(), 'parent': os.getppid()}\n"
    report = run(make_job, tmp_path, members=members, stage="compile").ok
    assert report.effective["pid"] != report.effective["parent"]
    assert report.engine_process is not None
    assert report.engine_process.separate


@needs_landlock
@pytest.mark.parametrize(
    "statement",
    [
        "(self.job.data_dir / 'items.bin').read_bytes()",
        "os.listdir(str(self.job.data_dir))",
        "(self.job.folder / 'out' / 'core.npy').write_bytes(b'x')",
        "(self.job.folder / 'out' / 'new').write_bytes(b'x')",
        "(self.job.folder / 'harness' / 'new').write_bytes(b'x')",
    ],
)
def test_data_out_and_code_are_not_the_engines(
    make_job: MakeJob, tmp_path: Path, statement: str
) -> None:
    assert run(make_job, tmp_path, attempted(statement)).ok.versions["said"] == "PermissionError"


@pytest.mark.parametrize("name", ["mem"] if os.geteuid() == 0 else ["mem", "environ", "maps"])
def test_the_harness_memory_is_not_the_engines(
    make_job: MakeJob, tmp_path: Path, name: str
) -> None:
    if os.geteuid() == 0 and kernel.landlock_version() is None:
        pytest.skip("root reads everything without Landlock")
    body = attempted(f"open('/proc/%d/{name}' % os.getppid(), 'rb').read(1)")
    assert run(make_job, tmp_path, body).ok.versions["said"] == "PermissionError"


def test_what_an_engine_writes_to_its_out_folder_is_not_the_stages(
    make_job: MakeJob, tmp_path: Path
) -> None:
    body = attempted("(self.job.out_dir / 'predictions.npz').write_bytes(b'mine')")
    outcome = run(make_job, tmp_path, body)
    assert outcome.ok.versions["said"] == "done"
    assert len(outcome.npz("predictions.npz")["classes"]) == 9
    assert not (outcome.out / "mine").exists()


def test_a_clock_that_the_engine_slows_is_its_own(make_job: MakeJob, tmp_path: Path) -> None:
    members = """
    def submit(self, inputs):
        from harness import clock
        true = time.perf_counter_ns
        if not hasattr(clock, "slowed"):
            clock.slowed = True
            clock.now_ns = time.perf_counter_ns = lambda: true() // 10
        time.sleep(0.004)
        return {"logits": self.compute(inputs["input"])}

    def wait(self, ticket):
        return ticket
    """
    outcome = run(make_job, tmp_path, members=members)
    assert outcome.ok
    # Answers come in groups.
    assert outcome.npy("core.npy").mean() >= 3.9e6
    assert np.median(outcome.npy("latency.npy")) >= 3.9e6


def test_inputs_are_read_only(make_job: MakeJob, tmp_path: Path) -> None:
    assert "read-only" in run(make_job, tmp_path, "array[:] = 0").failed("infer")


def test_writing_inputs_by_force_ends_the_engine_alone(make_job: MakeJob, tmp_path: Path) -> None:
    message = run(make_job, tmp_path, "ctypes.memset(array.ctypes.data, 0, 4)").failed("infer")
    assert "was killed by signal 11 (SIGSEGV)" in message


def test_an_engine_may_have_inputs_flagged_writable_but_not_write_them(
    make_job: MakeJob, tmp_path: Path
) -> None:
    members = "inputs_flagged_writable = True"
    body = "self.said = array.flags.writeable\n"
    assert run(make_job, tmp_path / "a", body, members).ok.versions["said"] == "True"
    message = run(make_job, tmp_path / "b", "array[:] = 0", members).failed("infer")
    assert "was killed by signal 11 (SIGSEGV)" in message


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGABRT)", "infer", "signal 6 (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "infer", "signal 9 (SIGKILL)"),
        ("os._exit(3)", "contract", "exited with 3 in the middle of infer"),
        ("os._exit(0)", "contract", "exited with 0 in the middle of infer"),
        ("sys.exit(3)", "infer", "SystemExit: 3"),
        ("raise MemoryError('no room')", "out_of_memory", "no room"),
        ("import absent_sdk", "image", "absent_sdk"),
        ("raise KeyError('x')", "infer", "KeyError"),
    ],
)
def test_an_end_of_the_engine_is_reported_by_its_kind(
    make_job: MakeJob, tmp_path: Path, body: str, kind: str, said: str
) -> None:
    assert said in run(make_job, tmp_path, body).failed(kind)


def test_an_engine_that_dies_before_it_is_loaded_is_reported(
    make_job: MakeJob, tmp_path: Path
) -> None:
    hook = hook_with_engine(tmp_path / "hook", "odd", "import os\nos.abort()\n")
    message = make_job(hook=hook, engine="odd").with_pictures(4).run().failed("infer")
    assert "signal 6 (SIGABRT)" in message


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.3])
def test_an_engine_that_dies_between_two_answers_is_reported(
    make_job: MakeJob, tmp_path: Path, delay_s: float
) -> None:
    """A thread of an SDK crashes while the harness prepares batches: it announces memory to nobody."""
    members = f"""
    def load(self):
        import threading
        threading.Timer({delay_s}, os.kill, (os.getpid(), signal.SIGSEGV)).start()
        return {{"precision": "fp32", "arithmetic": "fp32"}}
    """
    body = "time.sleep(5)"
    failure = run(make_job, tmp_path, body, members).report.failure
    assert failure is not None
    assert failure.kind == "infer"
    assert "was killed by signal 11 (SIGSEGV)" in failure.message


def test_nonsense_on_the_channel_breaks_the_contract(make_job: MakeJob, tmp_path: Path) -> None:
    body = """
    for number in range(3, 64):
        try:
            os.write(number, b"\\xff" * 64)
        except OSError:
            continue
    """
    assert "sent what is no answer" in run(make_job, tmp_path, body).failed("contract")


def test_outputs_of_a_wrong_shape_are_found_in_every_call(
    make_job: MakeJob, tmp_path: Path
) -> None:
    body = "self.calls = getattr(self, 'calls', 0) + 1\nif self.calls == 9:\n    return {'logits': self.compute(array)[:1]}\n"
    message = run(make_job, tmp_path, body).failed("contract")
    assert f"has shape [1, {CLASSES}], expected [4, {CLASSES}]" in message


def test_nothing_that_an_engine_started_is_left(make_job: MakeJob, tmp_path: Path) -> None:
    body = "if self.said == 'nothing':\n    self.said = subprocess.Popen(['sleep', '600']).pid\n"
    left = int(run(make_job, tmp_path, body).ok.versions["said"])
    wait_until(lambda: _state(left) in ("", "Z"))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_an_engine_may_share_the_process_and_the_report_says_so(
    make_job: MakeJob, tmp_path: Path
) -> None:
    report = run(make_job, tmp_path, members="same_process = True").ok
    assert report.engine_process is not None
    assert report.engine_process.separate is False


def test_an_official_run_refuses_an_engine_that_shares_the_process(
    make_job: MakeJob, tmp_path: Path
) -> None:
    source = ENGINE.format(body="", members="    same_process = True\n")
    hook = hook_with_engine(tmp_path / "hook", "odd", source)
    job = make_job(hook=hook, engine="odd").with_pictures(4)
    job.document["job"]["tier"] = "official"
    assert "has same_process = True" in job.run("compile").failed("contract")


def test_a_harness_that_is_killed_takes_the_engine_along(make_job: MakeJob, tmp_path: Path) -> None:
    source = ENGINE.format(body="        time.sleep(600)\n", members="")
    hook = hook_with_engine(tmp_path / "hook", "odd", source)
    job = make_job(hook=hook, engine="odd").with_pictures(4)
    job.write_job("infer")
    argv = [str(job.folder / "hook" / "hook"), "infer", str(job.folder)]
    with subprocess.Popen(argv, env=job.environment(), stderr=subprocess.DEVNULL) as harness:
        try:
            wait_until(lambda: bool(_children(harness.pid)))
            engine = _children(harness.pid)[0]
        finally:
            harness.kill()
    wait_until(lambda: _state(engine) in ("", "Z"))


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == pid:
            found.append(int(entry.name))
    return found


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
