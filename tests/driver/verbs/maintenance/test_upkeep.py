"""`clean` frees what can be rebuilt, and removes nothing under a run or a container."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from driver.console import Console
from driver.errors import EnvironmentFault
from driver.runners import leftovers
from driver.stacks.image_removal import Removal
from driver.system.driver_process import DriverProcess
from driver.system.workspace import OWNER_FILE, RUNNER_KEY, Workspace
from driver.verbs.maintenance import upkeep
from driver.verbs.maintenance.upkeep import clean_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a cache, an environment and prepared data, on a machine without an engine."""

    def refuse() -> None:
        raise EnvironmentFault("no Docker engine answers", "start it")

    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.setattr(leftovers, "connect", refuse)
    for name in ("cache", "venvs", "wheelhouse", "datasets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    return tmp_path


def killed_run(home: Path, runner: str) -> Path:
    here = DriverProcess.current()
    folder = home / "work" / "job-1-0"
    folder.mkdir(parents=True)
    owner = replace(here, start=here.start - 1).to_dict() | {RUNNER_KEY: runner}
    (folder / OWNER_FILE).write_text(json.dumps(owner))
    return folder


def test_caches_and_leftovers_go_and_the_rest_stays(home: Path) -> None:
    folder = killed_run(home, "process")
    assert clean_home(Console(), everything=False) == 0
    assert not folder.exists()
    assert sorted(path.name for path in home.iterdir()) == [
        "datasets",
        "venvs",
        "wheelhouse",
        "work",
    ]


def test_with_all_only_data_stays(home: Path) -> None:
    assert clean_home(Console(), everything=True) == 0
    assert not (home / "wheelhouse").exists()
    assert (home / "datasets" / "file").exists()


def test_nothing_is_removed_under_a_run_in_progress(home: Path) -> None:
    with (
        Workspace(home, "job", "process") as work,
        pytest.raises(EnvironmentFault, match="in progress") as caught,
    ):
        clean_home(Console(), everything=True)
    assert work.folder.name in caught.value.message
    assert (home / "cache" / "file").exists()
    assert (home / "venvs" / "file").exists()


def test_nothing_is_removed_under_a_container_that_is_still_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = leftovers.Engine(kept=(("assay-job-1-0-infer", (home / "cache",)),))
    monkeypatch.setattr(upkeep, "reap_leftovers", lambda *_, **__: left)
    with pytest.raises(EnvironmentFault, match="container assay-job-1-0-infer"):
        clean_home(Console(), everything=False)
    assert (home / "cache" / "file").exists()


def test_the_mounts_of_a_killed_container_stay_while_no_engine_answers(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = killed_run(home, "docker")
    assert clean_home(Console(), everything=False) == 0
    assert folder.exists()
    assert f"kept {folder}" in capsys.readouterr().err


def test_images_go_only_when_asked_for_and_one_in_use_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    for name in ("sif/1.sif", "images/saved.tar"):
        (home / name).parent.mkdir()
        (home / name).write_text("x")

    def remove() -> Removal:
        asked.append(home)
        return Removal(removed=("assay/cpu:1",), refused=("assay/cpu:2",))

    monkeypatch.setattr(upkeep, "remove_images", remove)
    assert clean_home(Console(), everything=True) == 0
    assert asked == []
    assert (home / "sif" / "1.sif").exists()
    with pytest.raises(EnvironmentFault, match="kept assay/cpu:2"):
        clean_home(Console(), everything=True, images=True)
    said = capsys.readouterr().err
    assert "1 image removed from the engine: assay/cpu:1" in said
    assert "1 image of Apptainer's removed" in said
    # What somebody has put there stays.
    assert (home / "images" / "saved.tar").exists()
    assert not (home / "sif").exists()
