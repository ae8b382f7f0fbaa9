"""The wheelhouse: fetches what is missing, by hash, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import ImageFault
from driver.stacks import wheelhouse
from driver.stacks.install.pip_download import FIXED
from driver.stacks.locks import Target, parse_lock, target_of
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.file_lock import locked
from tests.driver.wheels import make_wheel, sha256, write_index, write_lock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.environment

NOWHERE = "https://nowhere.invalid/simple"
PY311 = target_of("3.11")


def fill(home: Path, lock: Path, target: Target = PY311, torch_index: str = NOWHERE) -> set[str]:
    wheels = Wheelhouse(home).fill(
        parse_lock(lock), target, torch_index=torch_index, on_progress=lambda _text: None
    )
    return {wheel.name for wheel in wheels.values()}


def test_it_holds_exactly_the_wheels_that_the_lock_names(shelf: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "a.lock", make_wheel(shelf, "one"), make_wheel(shelf, "two"))
    make_wheel(shelf, "three")
    assert fill(tmp_path / "home", lock) == {"one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"}
    found = sorted(path.name for path in (tmp_path / "home" / "wheelhouse").iterdir())
    assert found == [".lock", "one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"]


def test_a_filled_wheelhouse_needs_no_pip(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = write_lock(tmp_path / "a.lock", make_wheel(shelf, "one"))
    fill(tmp_path / "home", lock)

    def no_child(*_arguments: Any, **_options: Any) -> str:
        pytest.fail("a child was started")

    monkeypatch.setattr(wheelhouse, "download", no_child)
    assert fill(tmp_path / "home", lock) == {"one-1.0-py3-none-any.whl"}


def test_only_what_is_missing_is_fetched(shelf: Path, tmp_path: Path) -> None:
    one, two = make_wheel(shelf, "one"), make_wheel(shelf, "two")
    fill(tmp_path / "home", write_lock(tmp_path / "a.lock", one))
    both = write_lock(tmp_path / "b.lock", one, two)
    one.unlink()
    assert len(fill(tmp_path / "home", both)) == 2


def test_a_wheel_that_is_not_what_the_lock_names_is_refused(shelf: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "a.lock", make_wheel(shelf, "one"))
    make_wheel(shelf, "one", body="import os  # not what was locked")
    with pytest.raises(ImageFault, match="is not what the lock names"):
        fill(tmp_path / "home", lock)
    assert not list((tmp_path / "home" / "wheelhouse").glob("*.whl"))


def test_a_damaged_wheel_in_the_wheelhouse_is_replaced(shelf: Path, tmp_path: Path) -> None:
    wheel = make_wheel(shelf, "one")
    lock = write_lock(tmp_path / "a.lock", wheel)
    fill(tmp_path / "home", lock)
    ours = tmp_path / "home" / "wheelhouse" / wheel.name
    ours.write_bytes(ours.read_bytes()[:-7])
    fill(tmp_path / "home", lock)
    assert sha256(ours) == sha256(wheel)


def test_what_no_index_has_is_an_error_that_says_what_to_do(shelf: Path, tmp_path: Path) -> None:
    wheel = make_wheel(shelf, "one")
    lock = write_lock(tmp_path / "a.lock", wheel)
    wheel.unlink()
    with pytest.raises(ImageFault, match=r"pip could not fetch one==1\.0") as caught:
        fill(tmp_path / "home", lock)
    assert "pip config list" in caught.value.remedy
    assert "make wheelhouse" in caught.value.remedy
    assert not list((tmp_path / "home" / "wheelhouse").glob(".fetch-*"))


def test_torch_comes_from_its_own_index_only_when_pips_settings_know_none(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", write_index(tmp_path / "mirror", make_wheel(shelf, "one")))
    torch = make_wheel(tmp_path / "elsewhere", "torch", "2.13.0+cpu")
    lock = write_lock(tmp_path / "a.lock", torch)
    notes: list[str] = []
    wheels = Wheelhouse(tmp_path / "home").fill(
        parse_lock(lock),
        PY311,
        torch_index=write_index(tmp_path / "torch-index", torch),
        on_progress=notes.append,
    )
    assert wheels["torch"].name == torch.name
    assert any("not where pip's own settings point" in text for text in notes)


def test_no_other_package_comes_from_torchs_index(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", write_index(tmp_path / "mirror", make_wheel(shelf, "one")))
    other = make_wheel(tmp_path / "elsewhere", "numpy")
    lock = write_lock(tmp_path / "a.lock", other)
    with pytest.raises(ImageFault, match="could not fetch numpy"):
        fill(tmp_path / "home", lock, torch_index=write_index(tmp_path / "torch-index", other))


def test_of_two_builds_that_the_lock_allows_the_target_gets_its_own(
    shelf: Path, tmp_path: Path
) -> None:
    old = make_wheel(shelf, "fast", tag="cp37-cp37m-manylinux_2_17_x86_64")
    new = make_wheel(shelf, "fast", tag="cp311-cp311-manylinux_2_28_x86_64")
    lock = tmp_path / "a.lock"
    lock.write_text(
        f"fast==1.0 --hash=sha256:{sha256(old)} --hash=sha256:{sha256(new)}\n", encoding="utf-8"
    )
    assert fill(tmp_path / "home", lock, PY311) == {new.name}
    assert fill(tmp_path / "home", lock, target_of("3.7")) == {old.name}


def test_a_wheel_for_a_newer_glibc_does_not_count(shelf: Path, tmp_path: Path) -> None:
    wheel = make_wheel(shelf, "fast", tag="cp38-cp38-manylinux_2_28_x86_64")
    lock = write_lock(tmp_path / "a.lock", wheel)
    house = tmp_path / "home" / "wheelhouse"
    make_wheel(house, "fast", tag="cp38-cp38-manylinux_2_28_x86_64")
    with pytest.raises(ImageFault):
        fill(tmp_path / "home", lock, target_of("3.8"))


def test_pip_is_never_allowed_to_build_or_to_go_without_a_hash() -> None:
    assert {"--require-hashes", "--no-deps", ":all:"} <= set(FIXED)
    assert FIXED[FIXED.index(":all:") - 1] == "--only-binary"


def test_wheels_that_are_there_are_not_waited_for(shelf: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "a.lock", make_wheel(shelf, "one"))
    fill(tmp_path / "home", lock)
    with locked(tmp_path / "home" / "wheelhouse" / ".lock"):
        assert fill(tmp_path / "home", lock) == {"one-1.0-py3-none-any.whl"}
