"""Lock files: what they say, that they are up to date, and that they name nothing of a host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from driver.errors import EnvironmentFault, ImageFault
from driver.stacks.locks import (
    Target,
    is_current,
    lock_all,
    make_lock,
    parse_lock,
    source_sha256,
    sources,
    target_of,
    uv_environment,
)
from driver.system.settings import ROOT
from tests.driver.wheels import make_wheel, sha256, write_index, write_lock

ALL = sources(ROOT)
STACKS = [path for path in ALL if path.is_relative_to(ROOT / "images")]


def name_of(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("requirements", ALL, ids=name_of)
def test_the_lock_is_made_from_its_requirements_as_they_are_now(requirements: Path) -> None:
    assert is_current(requirements), "type: make lock"


@pytest.mark.parametrize("requirements", ALL, ids=name_of)
def test_every_pin_is_exact_and_in_the_lock(requirements: Path) -> None:
    locked = {pin.name: pin.version for pin in parse_lock(requirements.with_suffix(".lock"))}
    lines = requirements.read_text(encoding="utf-8").splitlines()
    wanted = [line.split("#")[0].strip() for line in lines]
    for line in wanted:
        if line and not line.startswith("-"):
            name, exact, version = line.partition("==")
            assert exact, f"{line!r} is not pinned"
            assert locked[name.partition("[")[0].lower().replace("_", "-")] == version


@pytest.mark.parametrize("requirements", ALL, ids=name_of)
def test_a_lock_names_no_index_and_no_folder(requirements: Path) -> None:
    text = requirements.with_suffix(".lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|\s/|file:", text)


@pytest.mark.parametrize("requirements", STACKS, ids=name_of)
def test_a_stack_never_pulls_in_cuda_where_torch_is_the_cpu_build(requirements: Path) -> None:
    pins = {pin.name: pin for pin in parse_lock(requirements.with_suffix(".lock"))}
    if "torch" in pins:
        assert pins["torch"].version.endswith("+cpu")
        assert len(pins["torch"].hashes) == 1
        assert not [name for name in pins if name.startswith("nvidia-") or name == "triton"]


def test_a_pin_carries_name_version_hashes_and_its_line(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made\nNumpy==2.4.6 ; sys_platform == 'linux' \\\n"
        f"    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n    # via x\n",
        encoding="utf-8",
    )
    (pin,) = parse_lock(lock)
    assert (pin.name, pin.version, pin.hashes) == (
        "numpy",
        "2.4.6",
        frozenset(("a" * 64, "b" * 64)),
    )
    assert pin.line.startswith("Numpy==2.4.6 ; sys_platform == 'linux' --hash=")


@pytest.mark.parametrize(
    "line", ["numpy", "numpy>=2 --hash=sha256:" + "a" * 64, "numpy==2.4.6", "numpy==1 --hash=md5:1"]
)
def test_a_line_without_exact_version_and_sha256_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(line, encoding="utf-8")
    with pytest.raises(ImageFault, match="without an exact version and hash") as caught:
        parse_lock(lock)
    assert caught.value.remedy == "make lock"


def test_a_missing_lock_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ImageFault, match=r"cannot be read") as caught:
        parse_lock(tmp_path / "requirements.lock")
    assert caught.value.remedy == "make lock"


def test_a_change_in_an_included_file_makes_the_lock_stale(tmp_path: Path) -> None:
    (tmp_path / "other.in").write_text("a==1\n", encoding="utf-8")
    requirements = tmp_path / "requirements.in"
    requirements.write_text("-r other.in\nb==1\n", encoding="utf-8")
    before = source_sha256(requirements)
    (tmp_path / "other.in").write_text("a==2\n", encoding="utf-8")
    assert source_sha256(requirements) != before


@pytest.mark.environment
def test_make_lock_pins_what_is_needed_with_its_hash(shelf: Path, tmp_path: Path) -> None:
    wheel = make_wheel(shelf, "acme", "2.0")
    make_wheel(shelf, "acme", "3.0")
    requirements = tmp_path / "requirements.in"
    requirements.write_text("acme==2.0\n", encoding="utf-8")
    lock = make_lock(requirements, torch_index="https://nowhere.invalid")
    (pin,) = parse_lock(lock)
    assert (pin.name, pin.version, pin.hashes) == ("acme", "2.0", frozenset((sha256(wheel),)))
    assert is_current(requirements)
    assert str(shelf) not in lock.read_text(encoding="utf-8")


@pytest.mark.environment
def test_what_cannot_be_resolved_leaves_the_old_lock(shelf: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.in"
    requirements.write_text("acme==9.9\n", encoding="utf-8")
    old = write_lock(tmp_path / "requirements.lock", make_wheel(shelf, "acme", "2.0"))
    text = old.read_text(encoding="utf-8")
    with pytest.raises(EnvironmentFault, match="could not be resolved") as caught:
        make_lock(requirements, torch_index="https://nowhere.invalid")
    assert "pip config list" in caught.value.remedy
    assert old.read_text(encoding="utf-8") == text
    assert sorted(path.name for path in tmp_path.glob("requirements*")) == [
        "requirements.in",
        "requirements.lock",
    ]


@pytest.mark.environment
def test_only_stale_locks_are_made_again(shelf: Path, tmp_path: Path) -> None:
    make_wheel(shelf, "acme", "2.0")
    for part in ("driver", "tests"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "requirements.in").write_text("acme==2.0\n", encoding="utf-8")
    notes: list[str] = []

    def again(*, everything: bool = False) -> int:
        made = lock_all(
            tmp_path,
            torch_index="https://nowhere.invalid",
            on_progress=notes.append,
            everything=everything,
        )
        return len(made)

    assert again() == 2
    assert again() == 0
    assert again(everything=True) == 2
    assert notes[0] == "resolving driver/requirements.in"


def test_uv_asks_where_pip_would_ask_and_further_indexes_only_on_demand() -> None:
    settings = {
        "index-url": "https://mirror.lab/simple",
        "extra-index-url": "\nhttps://a.lab/simple",
        "find-links": "/wheels\n/more",
        "cert": "/a folder/ca.pem",
        "client-cert": "/mine.pem",
        "proxy": "http://proxy.lab:3128",
        "trusted-host": "mirror.lab a.lab",
    }
    first = uv_environment(settings)
    assert first["UV_DEFAULT_INDEX"] == "https://mirror.lab/simple"
    assert first["UV_FIND_LINKS"] == "/wheels,/more"
    assert first["SSL_CERT_FILE"] == "/a folder/ca.pem"
    assert first["SSL_CLIENT_CERT"] == "/mine.pem"
    assert first["ALL_PROXY"] == "http://proxy.lab:3128"
    assert first["UV_INSECURE_HOST"] == "mirror.lab a.lab"
    second = uv_environment(settings, more_indexes=("https://torch.example",))
    assert second["UV_INDEX"] == "https://a.lab/simple https://torch.example"


def test_a_pip_conf_that_cannot_be_read_is_named(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("no section\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    requirements = tmp_path / "requirements.in"
    requirements.write_text("acme==2.0\n", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"pip.conf") as caught:
        make_lock(requirements, torch_index="https://nowhere.invalid")
    assert "PIP_CONFIG_FILE=/dev/null" in caught.value.remedy


def test_an_old_python_gets_wheels_for_an_old_glibc() -> None:
    assert target_of("3.11.2") == Target(python="3.11", glibc_minor=28)
    assert target_of("3.7.5") == Target(python="3.7", glibc_minor=17)
    assert "manylinux_2_28_x86_64" not in target_of("3.8").platforms
    assert target_of("3.8").platforms[0] == "manylinux_2_17_x86_64"
    assert "manylinux2014_x86_64" in target_of("3.8").platforms


@pytest.mark.environment
def test_an_index_of_wheels_serves_a_lock(shelf: Path, tmp_path: Path) -> None:
    # What is not on the shelf is found in the further index, and nothing of it enters the lock.
    wheel = make_wheel(tmp_path / "elsewhere", "torch", "2.0")
    index = write_index(tmp_path / "index", wheel)
    requirements = tmp_path / "requirements.in"
    requirements.write_text("torch==2.0\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UV_NO_INDEX")
        patch.delenv("PIP_NO_INDEX")
        patch.setenv("PIP_INDEX_URL", write_index(tmp_path / "empty", make_wheel(shelf, "other")))
        lock = make_lock(requirements, torch_index=index)
    assert sha256(wheel) in lock.read_text(encoding="utf-8")
    assert "://" not in lock.read_text(encoding="utf-8")
