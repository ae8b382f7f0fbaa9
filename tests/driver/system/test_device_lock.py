"""A device is locked on its host: across processes, users and umasks, and freed however a holder ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.system.device_lock import Holder, devices_locked, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAWN = multiprocessing.get_context("fork")


def hold(folder: Path, devices: list[str], pipe: Connection, wait_s: float | None = None) -> None:
    """Hold devices in another process until a message comes; send whom it waits for, then "held"."""
    with devices_locked(
        folder, devices, this_process("vit_l_16 nvidia"), wait_s=wait_s, on_wait=pipe.send
    ):
        pipe.send("held")
        pipe.recv()


@contextmanager
def another(folder: Path, *devices: str) -> Iterator[tuple[Any, Connection]]:
    """Start a process that wants devices; leave none behind."""
    mine, its = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(folder, list(devices), its))
    process.start()
    its.close()
    try:
        yield process, mine
    finally:
        process.kill()
        process.join()


def has(folder: Path, *devices: str) -> bool:
    try:
        with devices_locked(folder, devices, this_process("x"), wait_s=0, on_wait=lambda _: None):
            return True
    except EnvironmentFault:
        return False


def test_a_second_run_waits_says_for_whom_and_gets_the_device(tmp_path: Path) -> None:
    with another(tmp_path, "GPU-1") as (first, one):
        assert one.recv() == "held"
        with another(tmp_path, "GPU-1") as (_, two):
            said = two.recv()
            assert f"device GPU-1 is in use by pid {first.pid} of " in said
            assert "(vit_l_16 nvidia), since " in said
            assert "WAIT=0" in said
            one.send("done")
            assert two.recv() == "held"


def test_with_a_wait_of_0_it_fails_at_once(tmp_path: Path) -> None:
    with another(tmp_path, "GPU-1") as (first, one):
        assert one.recv() == "held"
        with (
            pytest.raises(EnvironmentFault, match=f"in use by pid {first.pid}") as caught,
            devices_locked(tmp_path, ["GPU-1"], this_process("x"), wait_s=0, on_wait=pytest.fail),
        ):
            pytest.fail("it has the device")
        assert caught.value.exit_code == 3
        assert "DEVICE" in caught.value.remedy


def test_other_devices_are_free(tmp_path: Path) -> None:
    with another(tmp_path, "GPU-1") as (_, one):
        assert one.recv() == "held"
        assert has(tmp_path, "GPU-2")
        assert not has(tmp_path, "GPU-2", "GPU-1")
    assert has(tmp_path, "GPU-1", "GPU-2")


def test_a_killed_holder_frees_its_device(tmp_path: Path) -> None:
    with another(tmp_path, "processor") as (first, one):
        assert one.recv() == "held"
        os.kill(first.pid, signal.SIGKILL)
        first.join()
        assert has(tmp_path, "processor")


def test_two_runs_that_name_the_same_devices_in_two_orders_both_get_them(tmp_path: Path) -> None:
    with another(tmp_path, "0", "1") as (_, one), another(tmp_path, "1", "0") as (_, two):
        first = holder_of(one, two)
        first.send("done")
        assert holder_of(two if first is one else one)


def holder_of(*pipes: Connection) -> Connection:
    """Return the first process that says that it has its devices."""
    while True:
        for pipe in wait(pipes):
            if isinstance(pipe, Connection) and pipe.recv() == "held":
                return pipe


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_user_may_hold_and_say_so_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert has(tmp_path / "locks", "GPU-1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "locks" / "GPU-1").stat().st_mode) == 0o666


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("mode", [0o666, 0o644])
def test_another_users_lock_is_a_lock(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(0o711)
    temporary = Path(tempfile.gettempdir())
    for parent in tmp_path.parents:
        if parent.is_relative_to(temporary) and parent != temporary:
            parent.chmod(0o711)
    folder = tmp_path / "locks"
    assert has(folder, "GPU-1")
    (folder / "GPU-1").chmod(mode)
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        os._exit(0 if has(folder, "GPU-1") else 1)
    assert os.waitpid(child, 0)[1] == 0
    with another(folder, "GPU-1") as (_, one):
        assert one.recv() == "held"
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            os._exit(1 if has(folder, "GPU-1") else 0)
        assert os.waitpid(child, 0)[1] == 0


def test_a_link_in_the_shared_folder_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "GPU-1").symlink_to(target)
    with (
        pytest.raises(EnvironmentFault, match="cannot be used") as caught,
        devices_locked(folder, ["GPU-1"], this_process("x"), wait_s=None, on_wait=pytest.fail),
    ):
        pytest.fail("it followed the link")
    assert "ASSAY_LOCKS" in caught.value.remedy
    assert target.read_text() == "kept"


def test_a_name_typed_by_a_user_leads_nowhere_else(tmp_path: Path) -> None:
    assert has(tmp_path / "locks", "nvidia-../../evil")
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["nvidia-.._.._evil"]
    assert not (tmp_path / "evil").exists()


def test_a_removed_lock_file_is_not_a_lock(tmp_path: Path) -> None:
    """A cleaner of /tmp took it: who opens the name afterwards must not share with who holds the old one."""
    with another(tmp_path, "GPU-1") as (_, one):
        assert one.recv() == "held"
        with another(tmp_path, "GPU-1") as (_, two):
            assert "in use" in two.recv()
            (tmp_path / "GPU-1").unlink()
            assert two.recv() == "held"
            assert not has(tmp_path, "GPU-1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00" * 10])
def test_a_holder_that_cannot_be_read_is_another_run(tmp_path: Path, text: str) -> None:
    with another(tmp_path, "GPU-1") as (_, one):
        assert one.recv() == "held"
        (tmp_path / "GPU-1").write_text(text)
        with another(tmp_path, "GPU-1") as (_, two):
            assert "in use by another run" in two.recv()


def test_a_holder_says_how_long_it_has_been() -> None:
    holder = Holder(pid=7, user="ann", job="sam cpu", since="2026-01-01T10:00:00+00:00")
    now = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)
    assert holder.text(now) == "pid 7 of ann (sam cpu), since 10:00:00 UTC, 90 min"
    assert "since" not in holder.model_copy(update={"since": "odd"}).text(now)
    assert json.loads(holder.model_dump_json())["pid"] == 7
