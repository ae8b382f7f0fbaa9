"""What a killed driver left is removed by whoever comes next: its containers, then what they mount."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.runners import leftovers
from driver.runners.leftovers import reap_leftovers
from driver.system.driver_process import DriverProcess
from driver.system.workspace import OWNER_FILE, RUNNER_KEY

if TYPE_CHECKING:
    from pathlib import Path

LIVING = DriverProcess.current()
DEAD = replace(LIVING, start=LIVING.start - 1)


class Engine:
    """An engine with containers; those in ``stuck`` it cannot remove."""

    def __init__(self, *containers: dict[str, Any], stuck: tuple[str, ...] = ()) -> None:
        self.api = self
        self.there = list(containers)
        self.stuck = stuck
        self.asked = 0

    def connect(self) -> Engine:
        self.asked += 1
        return self

    def close(self) -> None:
        pass

    def containers(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert all
        key, _, value = filters["label"].partition("=")
        return [found for found in self.there if found["Labels"].get(key) == value]

    def remove_container(self, container: str, *, force: bool, v: bool) -> None:
        import docker  # type: ignore[import-untyped]

        assert force
        assert v
        if container in self.stuck:
            raise docker.errors.APIError("cannot kill container")
        self.there = [found for found in self.there if found["Id"] != container]


def container(name: str, home: Path, owner: DriverProcess, mounts: Path) -> dict[str, Any]:
    labels = {f"assay.driver-{key}": value for key, value in owner.to_dict().items()}
    return {
        "Id": name,
        "Names": [f"/{name}"],
        "Labels": {"assay.home": str(home), **labels},
        "Mounts": [{"Source": str(mounts / "infer-0" / "out")}],
    }


def work_folder(home: Path, name: str, owner: DriverProcess, runner: str) -> Path:
    folder = home / "work" / name
    (folder / "infer-0" / "out").mkdir(parents=True)
    (folder / OWNER_FILE).write_text(json.dumps(owner.to_dict() | {RUNNER_KEY: runner}))
    return folder


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(engine: Engine) -> Engine:
        monkeypatch.setattr(leftovers, "connect", engine.connect)
        return engine

    return install


def test_a_killed_drivers_container_goes_before_its_folder(tmp_path: Path, use: Any) -> None:
    folder = work_folder(tmp_path, "job-1-0", DEAD, "docker")
    engine = use(Engine(container("killed", tmp_path, DEAD, folder)))
    said: list[str] = []
    assert reap_leftovers(tmp_path, said.append).removed == ("killed",)
    assert engine.there == []
    assert not folder.exists()
    assert said == ["removed the container killed, which a killed run left behind"]


def test_a_container_that_cannot_be_removed_keeps_what_it_mounts(tmp_path: Path, use: Any) -> None:
    folder = work_folder(tmp_path, "job-1-0", DEAD, "docker")
    other = work_folder(tmp_path, "job-2-0", DEAD, "docker")
    use(Engine(container("killed", tmp_path, DEAD, folder), stuck=("killed",)))
    assert [name for name, _ in reap_leftovers(tmp_path, print).kept] == ["killed"]
    assert folder.exists()
    assert not other.exists()


def test_without_an_answer_of_the_engine_the_mounts_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise EnvironmentFault("no Docker engine answers", "start it")

    monkeypatch.setattr(leftovers, "connect", refuse)
    mounted = work_folder(tmp_path, "job-1-0", DEAD, "docker")
    process = work_folder(tmp_path, "job-2-0", DEAD, "process")
    said: list[str] = []
    reap_leftovers(tmp_path, said.append)
    assert mounted.exists()
    assert not process.exists()
    assert len(said) == 1
    assert str(mounted) in said[0]
    assert "no Docker engine answers" in said[0]


def test_the_engine_is_asked_only_where_a_killed_run_used_it(tmp_path: Path, use: Any) -> None:
    engine = use(Engine())
    work_folder(tmp_path, "job-1-0", LIVING, "docker")
    dead = work_folder(tmp_path, "job-2-0", DEAD, "process")
    reap_leftovers(tmp_path, print)
    assert engine.asked == 0
    assert not dead.exists()
    reap_leftovers(tmp_path, print, ask_engine=True)
    assert engine.asked == 1


def test_a_living_drivers_container_and_another_homes_are_kept(tmp_path: Path, use: Any) -> None:
    folder = work_folder(tmp_path, "job-1-0", LIVING, "docker")
    engine = use(
        Engine(
            container("living", tmp_path, LIVING, folder),
            container("other", tmp_path / "other", DEAD, folder),
        )
    )
    reap_leftovers(tmp_path, print, ask_engine=True)
    assert [found["Id"] for found in engine.there] == ["living", "other"]
    assert folder.exists()
