"""Each fault hook goes wrong in the one way that its name says, and only in infer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from driver.models.job import JobFile
from tests.harness.job_folder import JobFolder
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.jobs

HERE = Path(__file__).parent
HOOKS = sorted(path for path in (HERE / "hooks").iterdir() if path.is_dir())


def fault(tmp_path: Path, name: str, **job: Any) -> JobFolder:
    """Return a job folder with this hook, copied as README.md says."""
    hook = Path(shutil.copytree(HERE / "hooks" / name, tmp_path / "hook"))
    return JobFolder(tmp_path / "job", hook=hook, engine="faulty", **job).with_pictures(10)


def test_the_readme_names_every_hook_and_no_other() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name.strip().strip("`") for cell in cells for name in cell.split(",")}
    assert named == {path.name for path in HOOKS}


def test_hooks_can_be_executed() -> None:
    assert all(os.access(path / "hook", os.X_OK) for path in HOOKS)


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_in_other_stages_every_hook_is_honest(tmp_path: Path, path: Path) -> None:
    assert fault(tmp_path, path.name).run("compile").ok.failure is None


def test_the_honest_hook_measures(tmp_path: Path) -> None:
    assert fault(tmp_path, "honest").run().ok.core_agreement == 1.0


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("wrong-shape", "contract", "has shape [4, 5], expected [4, 6]"),
        ("wrong-dtype", "contract", "has dtype float64, expected float32"),
        ("missing-output", "contract", "logits_renamed"),
        ("nan", "infer", "holds NaN (6 of 24 values in its batch), first in item 000004"),
        ("inf", "infer", "holds Inf (6 of 24 values in its batch), first in item 000004"),
        ("asks-too-much-memory", "out_of_memory", "out of memory"),
        ("asks-for-a-device", "contract", "the hook tried to open /dev/assay-not-granted7"),
        ("raises", "infer", "engine error 507011"),
    ],
)
def test_faults_that_the_harness_sees_are_reported_by_their_kind(
    tmp_path: Path, name: str, kind: str, said: str
) -> None:
    assert said in fault(tmp_path, name).run().failed(kind)


def test_a_nan_in_the_last_partial_batch_alone_is_found(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    shutil.copytree(HERE / "hooks" / "nan", hook)
    engine = hook / "engines" / "faulty.py"
    source = engine.read_text()
    late = source.replace("values[-1] = np.nan", "values[-1] *= np.nan if len(means) < 4 else 1")
    assert late != source
    engine.write_text(late)
    job = JobFolder(tmp_path / "job", hook=hook, engine="faulty").with_pictures(10)
    assert "first in item 000010" in job.run().failed("infer")


@pytest.mark.parametrize(
    ("name", "status"), [("exits-nonzero", 3), ("no-report", 0), ("prints-success", 1)]
)
def test_hooks_without_report(tmp_path: Path, name: str, status: int) -> None:
    outcome = fault(tmp_path, name).run()
    assert (outcome.returncode, outcome.document) == (status, None)
    assert ("SUCCESS" in outcome.log) == (name == "prints-success")


@pytest.mark.parametrize(
    ("name", "exit_status", "said"), [("ok-but-nonzero", 1, "ok"), ("failed-but-zero", 0, "failed")]
)
def test_reports_that_contradict_the_exit_status(
    tmp_path: Path, name: str, exit_status: int, said: str
) -> None:
    outcome = fault(tmp_path, name).run()
    assert (outcome.returncode, outcome.report.status) == (exit_status, said)


def test_a_report_of_another_job(tmp_path: Path) -> None:
    outcome = fault(tmp_path, "other-job").run()
    assert outcome.returncode == 0
    assert outcome.report.job_id == "f" * 16


def start(job: JobFolder) -> subprocess.Popen[str]:
    job.write_job("infer")
    return subprocess.Popen(
        [str(job.folder / "hook" / "hook"), "infer", str(job.folder)],
        env=job.environment(),
        start_new_session=True,
        text=True,
    )


def test_half_a_report_is_no_json(tmp_path: Path) -> None:
    job = fault(tmp_path, "half-json")
    process = start(job)
    assert process.wait(timeout=PATIENCE_S) == 0
    with pytest.raises(json.JSONDecodeError):
        json.loads((job.folder / "out" / "report.json").read_text())


@pytest.mark.parametrize(("name", "by_sigterm"), [("hangs", True), ("hangs-deaf", False)])
def test_hooks_that_hang(tmp_path: Path, name: str, by_sigterm: bool) -> None:
    job = fault(tmp_path, name)
    process = start(job)
    try:
        wait_until(lambda: by_sigterm or (job.folder / "out" / "deaf").exists())
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)
        if by_sigterm:
            assert process.wait(timeout=PATIENCE_S) == -signal.SIGTERM
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.5)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE_S)


def test_the_job_file_is_one_that_the_driver_writes(tmp_path: Path) -> None:
    job = fault(tmp_path, "honest")
    job.write_job("infer")
    text = (job.folder / "job.json").read_text()
    assert JobFile.model_validate_json(text).job.engine == "faulty"
