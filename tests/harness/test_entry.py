"""The guest's entry: whatever goes wrong, the report says it and the exit status agrees."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.job_folder import GUEST
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import JobFolder, Outcome


def hook_with_engine(folder: Path, name: str, source: str) -> Path:
    """Return a hook folder with one engine of this source."""
    (folder / "engines").mkdir(parents=True)
    (folder / "hook").write_bytes((GUEST / "hook" / "hook").read_bytes())
    (folder / "hook").chmod(0o755)
    (folder / "engines" / f"{name}.py").write_text(source)
    return folder


def run_engine(make_job: MakeJob, folder: Path, source: str, stage: str = "infer") -> Outcome:
    hook = hook_with_engine(folder / "hook", "odd", source)
    return make_job(hook=hook, engine="odd").with_pictures(4).run(stage)


def call_by_hand(job: JobFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(job.folder / "hook" / "hook"), *arguments],
        env=job.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_failed_stage_tells_the_log_what_happened_and_what_to_do(make_job: MakeJob) -> None:
    outcome = make_job().run()  # no dataset was written
    assert "index.json" in outcome.failed("data")
    assert "→ prepare the dataset again" in outcome.log
    assert "Traceback" not in outcome.log


def test_an_engine_that_is_not_there_is_named_with_its_file(make_job: MakeJob) -> None:
    message = make_job(engine="torch-absent").with_pictures(2).run().failed("contract")
    assert "engines/torch_absent.py in tests's folder does not exist" in message


def test_a_case_without_task_is_named_with_its_file(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    message = make_job(case=tmp_path / "case").with_pictures(2).run().failed("contract")
    assert "cases/colours/task.py does not exist" in message


def test_a_missing_sdk_is_the_image_s_fault(make_job: MakeJob, tmp_path: Path) -> None:
    source = (
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def load(self):\n        import tensorrt\n"
        "    def infer(self, inputs):\n        return {}\n"
        "ENGINE = Odd\n"
    )
    message = run_engine(make_job, tmp_path, source).failed("image")
    assert "No module named 'tensorrt'" in message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:\n", "line 1"),
        ("x = 1\n", "no ENGINE"),
        ("ENGINE = 3\n", "no ENGINE"),
        (
            "from harness.engine import Engine\n"
            "class Odd(Engine):\n    def load(self):\n        return {}\n"
            "ENGINE = Odd\n",
            "neither infer nor submit and wait",
        ),
        (
            "from harness.engine import Engine\n"
            "class Odd(Engine):\n    in_flight = 4\n"
            "    def infer(self, inputs):\n        return {}\n"
            "ENGINE = Odd\n",
            "in_flight > 1",
        ),
    ],
)
def test_an_engine_file_that_is_none_breaks_the_contract(
    make_job: MakeJob, tmp_path: Path, source: str, said: str
) -> None:
    assert said in run_engine(make_job, tmp_path, source).failed("contract")


@pytest.mark.parametrize("stage", ["compile", "infer"])
def test_a_stand_in_that_fails_is_simulated_too(
    make_job: MakeJob, tmp_path: Path, stage: str
) -> None:
    source = (
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def compile(self):\n"
        "        self.simulated = True\n"
        "        raise RuntimeError('EZ3003: no supported operator')\n"
        "    load = compile\n"
        "    def infer(self, inputs):\n        return {}\n"
        "ENGINE = Odd\n"
    )
    outcome = run_engine(make_job, tmp_path, source, stage)
    outcome.failed(stage)
    assert outcome.report.simulated is True


@pytest.mark.parametrize("stage", ["compile", "infer"])
def test_a_failure_of_close_does_not_hide_the_one_that_ended_the_stage(
    make_job: MakeJob, tmp_path: Path, stage: str
) -> None:
    source = (
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def compile(self):\n        raise RuntimeError('EZ3003: no supported operator')\n"
        "    load = compile\n"
        "    def infer(self, inputs):\n        return {}\n"
        "    def close(self):\n        raise RuntimeError('507011: the stream is broken')\n"
        "ENGINE = Odd\n"
    )
    outcome = run_engine(make_job, tmp_path, source, stage)
    assert "EZ3003: no supported operator" in outcome.failed(stage)


def test_an_engine_that_fails_to_close_after_all_went_well_fails_the_stage(
    make_job: MakeJob, tmp_path: Path
) -> None:
    source = (
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def compile(self):\n        return {}\n"
        "    def infer(self, inputs):\n        return {}\n"
        "    def close(self):\n        raise RuntimeError('507011: the stream is broken')\n"
        "ENGINE = Odd\n"
    )
    outcome = run_engine(make_job, tmp_path, source, "compile")
    assert "507011: the stream is broken" in outcome.failed("compile")


def test_an_engine_that_fails_to_compile_is_a_compile_failure(
    make_job: MakeJob, tmp_path: Path
) -> None:
    source = (
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def compile(self):\n        raise RuntimeError('EZ3003: no supported operator')\n"
        "    def infer(self, inputs):\n        return {}\n"
        "    def load(self):\n        return {}\n"
        "ENGINE = Odd\n"
    )
    outcome = run_engine(make_job, tmp_path, source, "compile")
    assert "EZ3003: no supported operator" in outcome.failed("compile")
    assert "Traceback" in outcome.log  # for whoever fixes the hook


def test_the_device_is_freed_after_a_failure(make_job: MakeJob, tmp_path: Path) -> None:
    source = (
        "import sys\n"
        "from harness.engine import Engine\n"
        "class Odd(Engine):\n"
        "    def load(self):\n        raise RuntimeError('no device')\n"
        "    def infer(self, inputs):\n        return {}\n"
        "    def close(self):\n        sys.stderr.write('freed the device')\n"
        "ENGINE = Odd\n"
    )
    outcome = run_engine(make_job, tmp_path, source)
    assert "no device" in outcome.failed("infer")
    assert "freed the device" in outcome.log


def test_a_runtime_that_crashes_at_exit_does_not_contradict_the_report(
    make_job: MakeJob, tmp_path: Path
) -> None:
    source = (
        "import atexit, os\n"
        "from hook.colours import Colours\n"
        "atexit.register(os.abort)\n"
        "ENGINE = Colours\n"
    )
    hook = hook_with_engine(tmp_path / "hook", "odd", source)
    (hook / "colours.py").write_bytes((GUEST / "hook" / "engines" / "colours.py").read_bytes())
    report = make_job(hook=hook, engine="odd").with_pictures(4).run().ok
    assert report.failure is None


def test_a_stage_that_the_hook_does_itself_is_called(make_job: MakeJob, tmp_path: Path) -> None:
    hook = hook_with_engine(tmp_path / "hook", "none", "")
    (hook / "export.py").write_text(
        "def run(job, report, progress):\n    report.details['case'] = job.case\n"
    )
    assert make_job(hook=hook).run("export").ok.details["case"] == "colours"


def test_a_stage_that_nobody_knows_breaks_the_contract(make_job: MakeJob) -> None:
    job = make_job()
    job.write_job("score")
    outcome = job.run("score")
    assert "score.py in tests's folder does not exist" in outcome.failed("contract")


def test_validate_without_an_engine_for_it_says_where_to_name_one(make_job: MakeJob) -> None:
    message = make_job().with_pictures(2).run("validate").failed("contract")
    assert "has no validate engine" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSONDecodeError"),
        ('{"schema": "assay/job/1"', "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"schema": "assay/job/1", "job": {}}', "KeyError"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_reported(
    make_job: MakeJob, text: str, said: str
) -> None:
    job = make_job()
    (job.folder / "job.json").write_text(text)
    done = call_by_hand(job, "infer", str(job.folder))
    assert said in job.outcome(done.returncode, done.stderr).failed("contract")


def test_a_job_of_another_schema_is_refused(make_job: MakeJob) -> None:
    job = make_job()
    job.write_job("infer")
    document = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps({**document, "schema": "assay/job/9"}))
    done = call_by_hand(job, "infer", str(job.folder))
    assert "assay/job/9" in job.outcome(done.returncode, done.stderr).failed("contract")


def test_a_report_that_cannot_be_written_is_no_success(make_job: MakeJob) -> None:
    job = make_job().with_pictures(2)
    (job.folder / "out" / "report.json").mkdir()
    outcome = call_by_hand_after_writing(job)
    assert outcome.returncode == 1
    assert "cannot write report.json" in outcome.stderr


def call_by_hand_after_writing(job: JobFolder) -> subprocess.CompletedProcess[str]:
    job.write_job("infer")
    return call_by_hand(job, "infer", str(job.folder))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_stage_says_so_and_is_gone(
    make_job: MakeJob, number: signal.Signals
) -> None:
    job = make_job(
        engine="enqueue",
        engine_options={"item_ms": 50.0},
        batch_size=1,
        measure={"min_seconds": 500.0},
    ).with_pictures(3)
    job.write_job("infer")
    with subprocess.Popen(
        [str(job.folder / "hook" / "hook"), "infer", str(job.folder)],
        env=job.environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: phase_of(job) == "core")
            process.send_signal(number)
            log = process.communicate(timeout=PATIENCE_S)[1]
        finally:
            process.kill()
    assert "interrupted" in job.outcome(process.returncode, log).failed("interrupted")


def phase_of(job: JobFolder) -> str:
    path = job.folder / "out" / "progress.json"
    return str(json.loads(path.read_text())["phase"]) if path.is_file() else ""


def test_wrong_arguments_show_the_usage(make_job: MakeJob) -> None:
    job = make_job()
    done = subprocess.run(
        ["python3", "-m", "harness", "infer"],
        env={**job.environment(), "PYTHONPATH": str(job.folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "usage: python3 -m harness <stage> <job folder>\n",
    )
