"""Weights and data that a host lacks: one error, with whole commands, whichever of them is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import Case, load_catalog
from driver.datasets import weights
from driver.datasets.locate import locate_inputs
from driver.datasets.missing import MissingFault
from driver.errors import DataFault
from driver.plan.request import Request
from driver.system.settings import Settings
from driver.system.user.own_command import OwnCommand, completed
from tests.driver.miniature import make_pictures, make_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return load_catalog(make_tree(tmp_path / "tree")).case("tiny")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", results=tmp_path / "results")


def fault_of(case: Case, settings: Settings, **asked: str) -> DataFault:
    with pytest.raises(DataFault) as caught:
        locate_inputs(case, Request(case=case.name, **asked), settings)
    return caught.value


def test_a_case_that_lacks_both_says_so_at_once_with_both_commands(
    case: Case, settings: Settings
) -> None:
    fault = fault_of(case, settings)
    assert fault.message.startswith(
        "case tiny needs weights and the dataset tiny-val, but this host has neither"
    )
    own = OwnCommand(verb="run", given={"CASE": "tiny", "VENDOR": "acme"})
    shown = completed(fault.remedy, own)
    run = "`make run CASE=tiny VENDOR=acme"
    assert f"{run} WEIGHTS=<folder or file> DATA=<folder with val/<synset>/*.JPEG>`" in shown
    assert f"{run} WEIGHTS=synthetic DATA=synthetic`" in shown
    assert "make data CASE=tiny SRC=<folder or tar>" in shown
    assert '[weights] tiny = "<folder>" and [datasets] "tiny-val" = "<path>"' in shown


def test_what_is_there_is_not_asked_for(case: Case, settings: Settings, tmp_path: Path) -> None:
    data = str(make_pictures(tmp_path / "pictures"))
    (weights_alone,) = _lacks(fault_of(case, settings, data=data))
    (data_alone,) = _lacks(fault_of(case, settings, weights="synthetic"))
    assert (weights_alone, data_alone) == ("weights", "the dataset tiny-val")


def _lacks(fault: DataFault) -> list[str]:
    assert isinstance(fault, MissingFault)
    return [lack.what for lack in fault.lacks]


def test_a_wrong_path_and_something_missing_are_named_together(
    case: Case, settings: Settings
) -> None:
    fault = fault_of(case, settings, weights="/nowhere")
    assert "/nowhere does not exist" in fault.message
    assert "needs the dataset tiny-val" in fault.message


def test_no_weights_are_read_for_a_run_that_lacks_its_data(
    case: Case, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w")

    def never(*_: object) -> str:
        raise AssertionError("gigabytes were hashed for a run that cannot begin")

    monkeypatch.setattr(weights, "remembered_sha256", never)
    assert _lacks(fault_of(case, settings, weights=str(folder))) == ["the dataset tiny-val"]
