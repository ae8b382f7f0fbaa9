"""Other hosts by name: HOST and [hosts.<name>] of assay.local.toml."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, cast

import pytest

from driver.errors import UsageFault
from driver.models.base import RunnerName
from driver.session import site
from driver.system.settings import load_settings, load_settings_here

if TYPE_CHECKING:
    from pathlib import Path


def settings_file(root: Path, text: str) -> Path:
    (root / "assay.local.toml").write_text(text, encoding="utf-8")
    return root


def test_a_named_host_is_an_engine_to_reach(tmp_path: Path) -> None:
    root = settings_file(tmp_path, '[hosts.lab3]\ndocker = "ssh://me@lab3"\n')
    found = load_settings({"HOST": "lab3"}, root).engine_host
    assert found is not None
    assert (found.name, found.docker) == ("lab3", "ssh://me@lab3")
    assert load_settings({}, root).engine_host is None


def test_an_unknown_host_suggests_the_nearest(tmp_path: Path) -> None:
    root = settings_file(tmp_path, '[hosts.lab3]\ndocker = "ssh://me@lab3"\n')
    with pytest.raises(UsageFault, match=r"unknown host 'lab4' \(did you mean lab3\?\)"):
        load_settings({"HOST": "lab4"}, root)


def test_without_any_host_the_error_says_where_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="no other host is named") as caught:
        load_settings({"HOST": "lab4"}, tmp_path)
    assert "[hosts.lab4]" in caught.value.remedy


@pytest.mark.parametrize("name", [platform.node(), "x86_64-conda-linux-gnu", "aarch64-linux-gnu"])
def test_a_shells_own_machine_and_a_compilers_target_are_no_hosts(
    tmp_path: Path, name: str
) -> None:
    assert load_settings({"HOST": name}, tmp_path).host is None
    root = settings_file(tmp_path, '[hosts.lab3]\ndocker = "ssh://me@lab3"\n')
    assert load_settings({"HOST": name}, root).host is None


def test_what_is_not_planned_for_another_host_is_refused_before_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = settings_file(tmp_path, '[hosts.lab3]\ndocker = "ssh://me@lab3"\n')
    settings = load_settings({"HOST": "lab3"}, root)
    asked: list[str] = []
    monkeypatch.setattr(site, "describe_engine_host", asked.append)
    catalog, listener = cast("Any", None), cast("Any", None)
    with (
        pytest.raises(UsageFault, match="HOST=lab3 is not for this target"),
        site.open_site(RunnerName.DOCKER, settings, catalog, listener),
    ):
        pass
    assert asked == []


@pytest.mark.parametrize("hosts", ["", '[hosts.lab3]\ndocker = "ssh://me@lab3"\n'])
def test_a_target_that_takes_no_host_asks_nobody_to_name_one(tmp_path: Path, hosts: str) -> None:
    root = settings_file(tmp_path, hosts)
    for host in ("lab3", "lab4"):
        with pytest.raises(UsageFault, match=f"HOST={host} is not for this target"):
            load_settings_here({"HOST": host}, root)
    assert load_settings_here({"HOST": "x86_64-conda-linux-gnu"}, root).host is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('docker = "lab3"', "pattern"),
        ('docker = "tcp://lab3:2376"', "needs cert and key"),
        ('docker = "ssh://lab3"\ncert = "/c"', "belong together"),
        ('docker = "ssh://lab3"\nkeys = "/c"', "keys"),
    ],
)
def test_what_a_host_may_be(tmp_path: Path, line: str, said: str) -> None:
    root = settings_file(tmp_path, f"[hosts.lab3]\n{line}\n")
    with pytest.raises(UsageFault, match="invalid setting") as caught:
        load_settings({}, root)
    assert said in caught.value.message
