"""Work folders end with their job; a dead driver's are removed at the next start."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import StageName
from driver.runners.job_folder import lay_out
from driver.system.driver_process import DriverProcess
from driver.system.workspace import (
    OWNER_FILE,
    Workspace,
    folders_in_use,
    leftover_folders,
    require_free,
    require_room,
)
from tests.driver.runners.hooks import make_spec


def test_a_work_folder_lives_as_long_as_its_job(tmp_path: Path) -> None:
    with Workspace(tmp_path, "0123456789abcdef") as workspace:
        stage = workspace.stage(StageName.INFER, 2)
        (stage.out / "raw.npz").write_bytes(b"x")
        assert stage.out == workspace.folder / "infer-2" / "out"
        assert workspace.folder.name == f"0123456789abcdef-{os.getpid()}-0"
    assert list((tmp_path / "work").iterdir()) == []


def test_it_is_removed_even_without_write_permission(tmp_path: Path) -> None:
    with Workspace(tmp_path, "0123456789abcdef") as workspace:
        locked = workspace.stage(StageName.INFER).out / "locked"
        locked.mkdir()
        (locked / "file").write_text("x")
        locked.chmod(0o500)
    assert not workspace.folder.exists()


def test_the_same_job_twice_at_once_has_two_folders(tmp_path: Path) -> None:
    with Workspace(tmp_path, "job") as first, Workspace(tmp_path, "job") as second:
        assert first.folder != second.folder


def test_only_a_dead_drivers_folder_is_a_leftover_and_has_its_runner(tmp_path: Path) -> None:
    with Workspace(tmp_path, "living") as living, Workspace(tmp_path, "dead", "docker") as dead:
        owner = json.loads((dead.folder / OWNER_FILE).read_text())
        owner["start"] = str(int(owner["start"]) - 1)
        (dead.folder / OWNER_FILE).write_text(json.dumps(owner))
        assert leftover_folders(tmp_path) == {dead.folder: "docker"}
        assert folders_in_use(tmp_path) == [living.folder]


def test_another_hosts_folder_is_in_use_and_no_leftover(tmp_path: Path) -> None:
    with Workspace(tmp_path, "job") as work:
        elsewhere = replace(DriverProcess.current(), host="node7/1", start=1)
        (work.folder / OWNER_FILE).write_text(json.dumps(elsewhere.to_dict()))
        assert leftover_folders(tmp_path) == {}
        assert folders_in_use(tmp_path) == [work.folder]


@pytest.mark.parametrize("owner", ["", "{", "[]", '{"pid": "1"}', '{"pid": "x"}'])
def test_a_folder_whose_owner_cannot_be_read_is_left_alone(tmp_path: Path, owner: str) -> None:
    folder = tmp_path / "work" / "job-1-0"
    folder.mkdir(parents=True)
    (folder / OWNER_FILE).write_text(owner)
    assert leftover_folders(tmp_path) == {}


def test_a_folder_without_owner_is_reaped_when_empty_and_old(tmp_path: Path) -> None:
    fresh, old, used = (tmp_path / "work" / f"job-{n}-0" for n in range(3))
    for folder in (fresh, old, used):
        folder.mkdir(parents=True)
    (used / "something").write_text("x")
    long_ago = time.time() - 3600
    os.utime(old, (long_ago, long_ago))
    os.utime(used, (long_ago, long_ago))
    assert leftover_folders(tmp_path) == {old: ""}


def test_reaping_needs_no_home(tmp_path: Path) -> None:
    assert leftover_folders(tmp_path / "absent") == {}
    assert folders_in_use(tmp_path / "absent") == []


def test_a_full_disk_is_an_environment_fault_with_the_shortfall(tmp_path: Path) -> None:
    require_free(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(EnvironmentFault, match=r"GiB short") as caught:
        require_free(tmp_path, 1 << 60, what="the export of vit_l_16")
    assert "the export of vit_l_16 needs" in caught.value.message
    assert "ASSAY_HOME" in caught.value.remedy
    assert caught.value.exit_code == 3


def test_folders_on_one_disk_share_its_room(tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    home, engine = tmp_path / "home", tmp_path / "engine"
    require_room({home: free_bytes * 6 // 10}, home=home, what="a run")
    both = {home: free_bytes * 6 // 10, engine: free_bytes * 6 // 10}
    with pytest.raises(EnvironmentFault, match=r"a run needs .* at .*/engine") as caught:
        require_room(both, home=home, what="a run")
    assert "data-root" in caught.value.remedy


def test_the_job_folder_is_links_to_what_the_stage_sees(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    root, tmp = lay_out(spec)
    assert {entry.name for entry in root.iterdir()} == {m.target for m in spec.mounts}
    assert (root / "hook").is_symlink()
    assert (root / "out").resolve() == spec.source("out")
    assert list(tmp.iterdir()) == []


def test_a_masked_folder_is_not_in_the_job_folder(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0", masks=("case/data/val",))
    case = spec.source("case")
    assert case is not None
    (case / "data" / "val" / "7").mkdir(parents=True)
    (case / "data" / "README").write_text("from where")
    (case / "task.py").write_text("")
    root, _ = lay_out(spec)
    seen = {str(path.relative_to(root / "case")) for path in (root / "case").rglob("*")}
    assert seen == {"task.py", "data", "data/README"}


def test_creating_the_job_folder_again_starts_afresh(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    _, tmp = lay_out(spec)
    (tmp / "left").write_text("x")
    _, tmp = lay_out(spec)
    assert list(tmp.iterdir()) == []


def test_a_vanished_source_is_named(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, "exit 0")
    case = spec.source("case")
    assert case is not None
    case.rmdir()
    with pytest.raises(EnvironmentFault, match="case, which the stage needs, no longer exists"):
        lay_out(spec)
