"""A session records every stage as it ends; a broken hook is never attributed to the chip."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.models.base import FailureKind, RunnerName, StageName, Tier, WarningCode
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.runners.spec import Caller, InstalledStack
from driver.session.judging.claims import MEASURED_STAGES
from driver.session.result import exit_code
from driver.session.run import FinishedJob, run_job
from driver.session.site import Site
from driver.session.telemetry import devices_here
from driver.stacks.image import StackImage
from driver.stacks.installer import Installation
from driver.system.driver_process import DriverProcess
from driver.system.hashing import canonical_digest
from driver.system.host.machine import HostFacts
from driver.system.host.processor import Identity, Processor, read_processor
from driver.system.settings import Settings
from tests.driver.miniature import make_pictures, make_tree, write_executable
from tests.driver.runners.test_leftovers import Engine, container, work_folder
from tests.driver.session.scripted_runner import HOOK, ScriptedRunner
from tests.shared import made_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from driver.catalog.vendor import Stack
    from driver.events import Progress
    from driver.models.result import Result, StageRecord


class Recorder:
    """A listener that records events."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.tasks: list[str] = []
        self.notes: list[str] = []
        self.interrupt_in: StageName | None = None

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        self.started.append(str(stage))

    def task_started(self, name: str) -> None:
        self.tasks.append(name)

    def task_ended(self) -> None:
        self.tasks.append("ended")

    def progress(self, progress: Progress) -> None:
        pass

    def stage_ended(self, record: StageRecord) -> None:
        if record.name is self.interrupt_in:
            raise KeyboardInterrupt


class OwnPython:
    """Installs nothing: every stack is this interpreter."""

    def __init__(self, venv: Path) -> None:
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python3").symlink_to(sys.executable)
        self._venv = venv
        self.disk = venv.with_name("home")
        """A folder on the disk that installing fills."""
        self.stand_in = False
        self.to_install_bytes = 0
        self.labels: dict[str, str] | None = None
        """An image's provenance, to be reported for every stack."""

    def install(self, stack: Stack) -> Installation:
        made_of: dict[str, object] = {"kind": "test"}
        if self.labels is not None:
            image = StackImage(id="sha256:1", tag=f"assay/{stack.vendor}:1", labels=self.labels)
            made_of = image.provenance(stack.manifest)
        installed = InstalledStack(venv=self._venv, stand_in=self.stand_in)
        return Installation(stack=installed, provenance=made_of)

    def ahead(self, _stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        return nullcontext()

    def room(self, stack: Stack) -> dict[Path, int]:
        return {self.disk: self.to_install_bytes} if self.to_install_bytes else {}


class Lab:
    """A miniature tree with scripted hooks, and a site to run it in."""

    def __init__(self, root: Path) -> None:
        self.root = make_tree(root / "tree")
        for name in ("acme", "reference"):
            write_executable(
                self.root / "vendor_hooks" / name / "hook", f"#!{sys.executable}\n{HOOK}"
            )
        self.data = make_pictures(root / "pictures")
        weights = root / "weights"
        weights.mkdir()
        (weights / "config.json").write_text("{}")
        (weights / "model.safetensors").write_bytes(b"w")
        self.request = Request(
            case="tiny", vendor="acme", data=str(self.data), weights=str(weights)
        )
        self.settings = Settings(
            root=self.root, home=root / "home", results=root / "results", locks=root / "locks"
        )
        self.listener = Recorder()
        self.installer = OwnPython(root / "venv")

    def behave(self, hook: str = "acme", **stages: str) -> None:
        """Set a hook's behaviour per stage, which makes it another hook with another digest."""
        path = self.root / "vendor_hooks" / hook / "behaviour.json"
        path.write_text(json.dumps(stages))

    def warmed(self) -> Lab:
        """Return this lab after a good job, so that jobs of ``behave_once`` neither export nor compile."""
        for stage in MEASURED_STAGES:
            self._words(stage).write_text("good")
        self.behave(**{stage: f"@{self._words(stage)}" for stage in MEASURED_STAGES})
        assert self.run().result.status == "ok"
        return self

    def behave_once(self, stage: StageName, behaviour: str, **changes: object) -> FinishedJob:
        """Run a job whose hook behaves so in ``stage``, and is none the less the one that compiled."""
        self._words(stage).write_text(behaviour)
        try:
            return self.run(**changes)
        finally:
            self._words(stage).write_text("good")

    def _words(self, stage: StageName) -> Path:
        return self.root.with_name(f"{stage}.txt")

    def limit(self, stage: StageName, seconds: float) -> None:
        """Set a stage's time limit."""
        path = self.root / "cases/tiny/case.toml"
        text = path.read_text().replace(
            "golden_count = 3", f"golden_count = 3\ntimeout_s = {{ {stage} = {seconds} }}"
        )
        path.write_text(text)

    def site(self) -> Site:
        """Return the site of a run: this process as the caller, its Python as every stack's."""
        return Site(
            settings=self.settings,
            catalog=load_catalog(self.root),
            host=HostFacts(threads=1, memory_bytes=4 << 30),
            caller=Caller(
                uid=os.getuid(),
                gid=os.getgid(),
                memory_bytes=4 << 30,
                home=self.settings.home,
                process=DriverProcess.current(),
            ),
            runner=ScriptedRunner(grace_s=0.2),
            installer=self.installer,
            listener=self.listener,
        )

    def run(self, **changes: object) -> FinishedJob:
        site = self.site()
        request = self.request.model_copy(update=changes)
        names = devices_here(site.catalog.vendors, [request])
        return run_job(site, choose(request, site.catalog, names))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab for tests that let a hook behave once, and change nothing else."""
    return Lab(tmp_path_factory.mktemp("warm")).warmed()


def lab_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: ModuleType) -> Lab:
    """Return a lab whose settings and site a verb's module takes, with the caches of a job like its own."""
    made = Lab(tmp_path)
    ran = made_once("lab", lambda folder: Lab(folder).run())
    shutil.copytree(ran / "home" / "cache", made.settings.cache)

    @contextmanager
    def site(*_: object) -> Iterator[Site]:
        yield made.site()

    monkeypatch.setattr(verb, "load_settings_here", lambda: made.settings)
    monkeypatch.setattr(verb, "open_site", site)
    return made


def nothing_left(lab: Lab) -> bool:
    return not list((lab.settings.home / "work").glob("*"))


def test_a_good_job_is_recorded_with_every_stage(lab: Lab) -> None:
    finished = lab.run()
    assert finished.result.status == "ok"
    assert [record.name for record in finished.result.stages] == list(StageName)
    assert finished.result.metrics.p_infer_core == 4000.0
    assert exit_code(finished.result) == 0
    assert nothing_left(lab)


def test_the_result_on_disk_carries_the_digest_of_its_content(warm: Lab) -> None:
    document = json.loads((warm.run().folder / "result.json").read_text())
    assert document["digest"] == canonical_digest(document)
    document["metrics"]["p_infer_core"] *= 2
    assert document["digest"] != canonical_digest(document)


def test_an_impossible_throughput_is_a_warning_in_the_result(lab: Lab) -> None:
    # The same loop over a model a million times as large, on a peak of 1e9 operations a second.
    case = lab.root / "cases" / "tiny" / "case.toml"
    case.write_text(case.read_text().replace("macs = 1000\n", "macs = 1_000_000_000\n"))
    result = lab.run().result
    (found,) = [one for one in result.warnings if one.code is WarningCode.IMPLAUSIBLE]
    assert "1e+09 tf32 operations/s" in found.message
    assert "the unit of the peak" in found.remedy


def test_an_official_run_with_an_impossible_throughput_fails(lab: Lab) -> None:
    case = lab.root / "cases" / "tiny" / "case.toml"
    case.write_text(case.read_text().replace("macs = 1000\n", "macs = 1_000_000_000\n"))
    result = lab.run(tier=Tier.OFFICIAL).result
    assert result.failure is not None
    assert (result.status, exit_code(result)) == ("failed", 5)
    assert "1e+09 tf32 operations/s" in result.failure.message


def test_a_hook_that_measures_by_itself_is_marked_and_refused_at_official(lab: Lab) -> None:
    (found,) = [one for one in lab.run().result.warnings if one.code is WarningCode.SAME_PROCESS]
    assert "infer" in found.message
    result = lab.run(tier=Tier.OFFICIAL).result
    assert result.failure is not None
    assert (result.status, exit_code(result)) == ("failed", 5)
    assert "in the process that measures" in result.failure.message


def test_a_core_loop_that_computed_something_else_breaks_the_contract(warm: Lab) -> None:
    result = warm.behave_once(StageName.INFER, "disagrees").result
    assert exit_code(result) == 5
    assert result.failure is not None
    assert "only 50.0% agree" in result.failure.message
    assert result.metrics.p_infer_core is None


def unpinned(result: Result) -> list[str]:
    return [found.message for found in result.warnings if found.code is WarningCode.UNPINNED]


def test_an_unpinned_base_image_is_a_warning_in_every_result(lab: Lab) -> None:
    assert unpinned(lab.run().result) == [], "an environment is pinned by its lock"
    lab.installer.labels = {"assay.base": "none", "assay.base-pinned": "no"}
    own = unpinned(lab.run().result)
    assert own == [
        f"assay/{vendor}:1: the base image none has no pinned digest"
        for vendor in ("reference", "acme")
    ]
    lab.installer.labels["assay.base"] = "assay/base:bookworm"
    for said in unpinned(lab.run().result):
        assert "assay/base:bookworm replaces the stack's own base image none" in said
    lab.installer.labels["assay.base-pinned"] = "yes"
    assert unpinned(lab.run().result) == []


def on_host(lab: Lab) -> None:
    """Make the lab's vendor one whose device is the host's processor."""
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(manifest.read_text() + '[monitor]\nparser = "proc"\ninterval_s = 0.05\n')


def test_a_hosts_result_names_its_processor_and_its_host(lab: Lab) -> None:
    on_host(lab)
    result = lab.run().result
    processor = read_processor()
    assert result.job.chip == processor.name
    assert result.provenance["processor"]["model"] == processor.model
    assert result.provenance["host"]["name"] == platform.node()
    lab.settings = lab.settings.model_copy(update={"host_name": ""})
    assert lab.run().result.provenance["host"]["name"] is None


def test_a_container_with_a_quota_is_a_part_of_its_processor(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_host(lab)
    part = Processor(
        model="AMD EPYC 9B14",
        cores=32,
        threads=1,
        threads_online=64,
        cpus=1.0,
        memory_bytes=2 << 30,
    )
    monkeypatch.setattr("driver.monitors.seen.read_processor", lambda: part)
    result = lab.run().result
    assert result.job.chip == "AMD EPYC 9B14, 1 of 64 threads (quota 1), 2 GiB"
    assert result.metrics.mfu is None
    assert WarningCode.PART_OF_DEVICE in {found.code for found in result.warnings}


def test_time_shares_add_up_to_the_whole(lab: Lab) -> None:
    result = lab.run().result
    total = sum(share.wall_s for share in result.time_shares)
    assert total == pytest.approx(result.metrics.e2e_time_s)


def test_a_second_run_takes_export_and_engine_from_the_cache(lab: Lab) -> None:
    lab.run()
    lab.listener.started.clear()
    result = lab.run().result
    assert lab.listener.started == ["validate", "infer", "score"]
    assert [record.status for record in result.stages[:2]] == ["cached", "cached"]


def test_repeats_are_fresh_processes(warm: Lab) -> None:
    result = warm.run(repeat=3).result
    assert [record.repeat for record in result.stages if record.name == "infer"] == [0, 1, 2]
    assert len(result.metrics.spread["p_infer_core"].values) == 3


def test_processes_that_ran_different_arithmetic_count_as_what_the_result_shows(warm: Lab) -> None:
    words = (
        "python:ran = 'fp16' if job['repeat'] else 'tf32'\n"
        "leave(document(effective={'arithmetic': ran}))"
    )
    result = warm.behave_once(StageName.INFER, words, repeat=2).result
    assert result.provenance["effective"]["infer"]["arithmetic"] == "fp16"
    (found,) = [one for one in result.warnings if one.code is WarningCode.EFFECTIVE_DIFFERS]
    assert "tf32 was requested, but the engine ran fp16 in its last process" in found.message


def test_another_arithmetic_in_an_earlier_process_is_not_hidden_by_the_last(warm: Lab) -> None:
    words = (
        "python:ran = 'tf32' if job['repeat'] else 'fp16'\n"
        "leave(document(effective={'arithmetic': ran}))"
    )
    result = warm.behave_once(StageName.INFER, words, repeat=2).result
    (found,) = [one for one in result.warnings if one.code is WarningCode.EFFECTIVE_DIFFERS]
    assert "tf32 in its last process and fp16 in others, which the figures mix" in found.message


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("exit-3", "exited with 3 and left no report.json"),
        ("no-report", "exited with 0 and left no report.json"),
        ("half-json", "not JSON"),
        ("nan", "not JSON"),
        ("prints-success", "exited with 1 and left no report.json"),
        ("ok-but-exits-1", "reported success but exited with 1"),
        ("failed-but-exits-0", "reported a failure but exited with 0"),
        ("other-job", "another stage or job"),
        ("other-job", "job_id is ffffffffffffffff, but job.json has "),
        ("other-repeat", "repeat is 7, but job.json has 0"),
        ("no-repeat", "repeat: Field required"),
        ("no-core", "reported no core loop"),
        ("few-items", "reported 1 item, but the dataset has 4"),
        ("claims-a-minute", "reported a core loop of 61 s, but the whole stage took"),
        ("claims-a-minute-by-a-tool", "reported a core loop of 61 s, but the whole stage took"),
        ("claims-more-than-it-had", "reported loops of 3 s in total, but the whole stage took"),
        ("names-no-clock", "measurements.0.clock: Field required"),
        ("claims-our-clock", '"harness", but its hook never calls the harness'),
    ],
)
def test_a_broken_contract_is_attributed_to_the_hook(warm: Lab, behaviour: str, said: str) -> None:
    result = warm.behave_once(StageName.INFER, behaviour).result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.CONTRACT
    assert result.failure.stage is StageName.INFER
    assert said in result.failure.message
    assert exit_code(result) == 5
    assert result.metrics.p_infer_core is None


def test_a_tool_may_count_copies_that_did_not_happen(warm: Lab) -> None:
    assert warm.behave_once(StageName.INFER, "copies-more-than-it-did").result.failure is None


def test_a_hook_that_times_itself_is_marked(warm: Lab) -> None:
    assert warm.run().result.provenance["core"]["clock"] == "hook"


def test_a_smoke_run_of_a_slow_model_skips_validate(lab: Lab) -> None:
    case = lab.root / "cases" / "tiny" / "case.toml"
    case.write_text(case.read_text().replace("macs = 1000\n", "macs = 3_000_000_000_000\n"))
    result = lab.run().result
    assert lab.listener.started == ["export", "compile", "infer", "score"]
    assert result.failure is None
    assert result.metrics.p_val_core is None


@pytest.mark.parametrize("stage", list(StageName))
def test_a_contract_broken_in_any_stage_ends_the_job_there(lab: Lab, stage: StageName) -> None:
    hook = "reference" if stage in (StageName.EXPORT, StageName.SCORE) else "acme"
    lab.behave(hook, **{stage: "half-json"})
    result = lab.run().result
    assert result.failure is not None
    assert result.failure.stage is stage
    reached = [record.name for record in result.stages if record.status != "not_run"]
    assert reached == list(StageName)[: list(StageName).index(stage) + 1]
    assert nothing_left(lab)


def test_a_failed_export_or_compile_is_not_taken_from_the_cache(lab: Lab) -> None:
    lab.behave("reference", export="fails")
    assert lab.run().result.failure is not None
    lab.behave("reference")
    lab.behave("acme", compile="fails")
    failed = lab.run().result
    assert failed.failure is not None
    assert failed.failure.kind is FailureKind.COMPILE
    lab.behave("acme")
    assert lab.run().result.status == "ok"


def test_a_hung_hook_hits_its_time_limit_and_leaves_no_process(lab: Lab) -> None:
    lab.limit(StageName.COMPILE, 1.5)
    lab.behave(compile="hang")
    result = lab.run().result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.TIMEOUT
    assert exit_code(result) == 6
    assert nothing_left(lab)


def test_a_reported_failure_keeps_its_kind_and_remedy(warm: Lab) -> None:
    result = warm.behave_once(StageName.INFER, "fails").result
    assert result.failure is not None
    assert (result.failure.kind, result.failure.remedy) == ("infer", "ask the vendor")
    assert exit_code(result) == 1


def test_a_bad_picture_is_reported_by_the_users_file_name(warm: Lab) -> None:
    result = warm.behave_once(StageName.INFER, "bad-item").result
    assert result.failure is not None
    assert ".png" in result.failure.message
    assert exit_code(result) == 3


def test_a_failed_gate_is_shown_as_failed_with_its_figures(lab: Lab) -> None:
    lab.behave("reference", score="worse")
    result = lab.run().result
    assert result.status == "accuracy_failed"
    assert result.metrics.p_infer_core is not None
    assert exit_code(result) == 4


def test_loops_that_a_stage_itself_says_broke_the_contract_have_no_figures(warm: Lab) -> None:
    for kind, figures in (("contract", False), ("infer", True)):
        words = (
            f"python:failure.update(kind={kind!r})\n"
            "leave(document(status='failed', failure=failure)); sys.exit(1)"
        )
        result = warm.behave_once(StageName.INFER, words).result
        assert result.failure is not None
        assert result.failure.kind == kind
        assert (result.metrics.p_infer_core is not None) is figures


def test_the_log_of_a_failed_stage_is_kept(lab: Lab) -> None:
    lab.behave(compile="exit-3")
    finished = lab.run()
    record = finished.result.stages[1]
    assert record.log is not None
    assert "stage compile says exit-3" in (finished.folder / record.log).read_text()


@pytest.mark.parametrize("stage", list(StageName))
def test_an_interruption_in_any_stage_keeps_what_was_measured(lab: Lab, stage: StageName) -> None:
    lab.listener.interrupt_in = stage
    result = lab.run().result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INTERRUPTED
    assert exit_code(result) == 130
    assert any(record.name is stage for record in result.stages)
    assert nothing_left(lab)


@pytest.mark.parametrize("stage", [StageName.EXPORT, StageName.COMPILE])
def test_a_job_that_ends_early_on_a_stand_in_is_simulated(lab: Lab, stage: StageName) -> None:
    lab.installer.stand_in = True
    lab.listener.interrupt_in = stage
    interrupted = lab.run().result
    lab.listener.interrupt_in = None
    lab.behave("reference" if stage is StageName.EXPORT else "acme", **{stage: "fails"})
    failed = lab.run().result
    for result in (interrupted, failed):
        assert result.status == "failed"
        assert result.simulated is True
        assert WarningCode.SIMULATED in {found.code for found in result.warnings}


def test_leftovers_of_a_killed_driver_are_removed_and_the_next_run_works(lab: Lab) -> None:
    lab.run()
    dead = DriverProcess.current().to_dict() | {"pid": "999999999", "start": "1"}
    leftover = lab.settings.home / "work" / "0123456789abcdef-999999999-0"
    leftover.mkdir()
    (leftover / "owner.json").write_text(json.dumps(dead))
    partial = lab.settings.home / "cache/models/whatever.999999999.part"
    partial.mkdir()
    assert lab.run().result.status == "ok"
    assert not leftover.exists()


def test_a_process_run_removes_the_container_of_a_killed_driver(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = replace(DriverProcess.current(), start=1)
    work = work_folder(lab.settings.home, "job-1-0", dead, "docker")
    engine = Engine(container("killed", lab.settings.home, dead, work))
    monkeypatch.setattr("driver.runners.leftovers.connect", engine.connect)
    assert lab.run().result.job.runner is RunnerName.PROCESS
    assert engine.there == []
    assert not work.exists()


def test_a_device_that_the_monitor_does_not_report_is_refused_before_anything_is_installed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "driver.session.inputs.locate.absent_devices", lambda *_: (["7"], ["0", "1"])
    )
    monkeypatch.setattr(lab.installer, "install", None)
    with pytest.raises(EnvironmentFault, match=r"DEVICE=7 does not exist .* are 0, 1") as caught:
        lab.run(device="7")
    assert caught.value.remedy == "choose one of them: DEVICE=0"


PROCESSOR = """
[processor]
vendor_id = "AuthenticAMD"
flags = { fp16 = ["avx512_fp16"] }
"""


@pytest.mark.parametrize(
    ("maker", "precision", "said"),
    [
        ("GenuineIntel", "fp32", "the vendor_id AuthenticAMD; this host's is X"),
        ("AuthenticAMD", "fp16", "X lacks avx512_fp16, without which fp16 would be emulated"),
        ("AuthenticAMD", "fp32", None),
    ],
)
def test_a_processor_that_does_not_fit_is_refused_before_anything_is_installed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, maker: str, precision: str, said: str | None
) -> None:
    manifest = lab.root / "vendor_hooks" / "acme" / "vendor.toml"
    manifest.write_text(manifest.read_text() + PROCESSOR)
    seen = Identity(model="X", vendor_id=maker, flags=frozenset({"avx2"}))
    monkeypatch.setattr("driver.session.inputs.locate.read_identity", lambda: seen)
    if said is None:
        assert lab.run(precision=precision).result.status == "ok"
        return
    monkeypatch.setattr(lab.installer, "install", None)
    with pytest.raises(EnvironmentFault, match=said):
        lab.run(precision=precision)


def test_a_failure_names_files_that_are_still_there_when_it_is_read(warm: Lab) -> None:
    failure = warm.behave_once(StageName.INFER, "names-its-files").result.failure
    assert failure is not None
    case = warm.root / "cases" / "tiny"
    assert failure.message == f"{case}/task.py and {case}/a are broken, /jobs/case is not ours"
    assert failure.remedy.startswith("read ")
    assert Path(failure.remedy.removeprefix("read ")).is_dir()


def test_a_full_cache_disk_is_attributed_to_the_host(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run()
    shutil.rmtree(lab.settings.home / "cache/models")
    full = shutil.disk_usage("/")._replace(free=1)
    monkeypatch.setattr("driver.system.workspace.shutil.disk_usage", lambda _path: full)
    result = lab.run().result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.HOST
    assert "GiB" in result.failure.message
    assert exit_code(result) == 3


def test_without_room_for_the_result_nothing_half_is_left(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: Path, _result: Result) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "result.json")

    monkeypatch.setattr("driver.session.run.write_result", full)
    with pytest.raises(EnvironmentFault, match=r"result\.json cannot be used"):
        lab.run()
    assert not list(lab.settings.results.rglob("*.json"))


def test_a_drift_of_the_core_loop_reaches_the_result(warm: Lab) -> None:
    for tier, expected in ((Tier.STANDARD, 1), (Tier.SMOKE, 0)):
        result = warm.behave_once(StageName.INFER, "slows-down", tier=tier).result
        assert result.status == "ok", result.failure
        found = [one for one in result.warnings if one.code is WarningCode.DRIFT]
        assert len(found) == expected, tier
        assert all("fell by" in one.message for one in found)
