"""Weights: found in the usual places, checked before use, never silently replaced by synthetic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import Case, load_catalog
from driver.datasets.weights import SYNTHETIC, locate_weights
from driver.errors import DataFault
from driver.models.case import WeightsFile
from driver.system.settings import Settings
from tests.driver.miniature import make_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return load_catalog(make_tree(tmp_path / "tree")).case("tiny")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", results=tmp_path / "results")


def make_weights(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_missing_weights_name_both_options(case: Case, settings: Settings) -> None:
    with pytest.raises(DataFault) as caught:
        locate_weights(case, None, settings, environ={})
    assert "WEIGHTS=synthetic" in caught.value.remedy
    assert "WEIGHTS=<folder or file>" in caught.value.remedy


def test_synthetic_weights_must_be_requested(case: Case, settings: Settings) -> None:
    assert locate_weights(case, "synthetic", settings) is SYNTHETIC


def test_a_folders_digest_covers_its_files(case: Case, settings: Settings, tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "w")
    found = locate_weights(case, str(folder), settings)
    assert (found.kind, found.format, found.folder) == ("published", "huggingface", folder)
    (folder / "model.safetensors").write_bytes(b"others")
    assert locate_weights(case, str(folder), settings).digest != found.digest


def test_the_hubs_cache_is_found(case: Case, settings: Settings, tmp_path: Path) -> None:
    snapshot = make_weights(tmp_path / "hf/hub/models--acme--tiny/snapshots/abc")
    found = locate_weights(case, None, settings, environ={"HF_HOME": str(tmp_path / "hf")})
    assert found.folder == snapshot


def test_an_incomplete_snapshot_is_not_used(case: Case, settings: Settings, tmp_path: Path) -> None:
    snapshot = make_weights(tmp_path / "hf/hub/models--acme--tiny/snapshots/abc")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(DataFault, match="needs weights"):
        locate_weights(case, None, settings, environ={"HF_HOME": str(tmp_path / "hf")})


def test_a_file_is_matched_by_its_kind(case: Case, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    path.write_bytes(b"x")
    assert locate_weights(case, str(path), settings).format == "pth"


def test_a_folder_without_weights_says_what_is_missing(
    case: Case, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "config.json").write_text("{}")
    with pytest.raises(DataFault, match=r"huggingface needs model\.safetensors"):
        locate_weights(case, str(tmp_path / "w"), settings)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"bytes": 99}, "has 7 bytes instead of 99"),
        ({"sha256": "0" * 64}, f"instead of {'0' * 64}"),
        ({"md5": "0" * 32}, f"instead of {'0' * 32}"),
    ],
)
def test_a_truncated_or_different_file_is_refused_before_use(
    case: Case, settings: Settings, tmp_path: Path, expected: dict[str, object], said: str
) -> None:
    folder = make_weights(tmp_path / "w")
    form = case.manifest.weights.formats[0]
    file = WeightsFile.model_validate({"name": "model.safetensors", **expected})
    strict = form.model_copy(update={"files": (form.files[0], file)})
    weights = case.manifest.weights.model_copy(update={"formats": (strict,)})
    manifest = case.manifest.model_copy(update={"weights": weights})
    with pytest.raises(DataFault, match=said):
        locate_weights(Case(manifest=manifest, folder=case.folder), str(folder), settings)


def test_a_folder_with_one_pth_is_that_pth(case: Case, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    for name in ("some.pth", "._some.pth", ".DS_Store"):
        (folder / name).write_bytes(b"w")
    assert locate_weights(case, str(folder), settings).files == ("some.pth",)
    (folder / "other.pth").write_bytes(b"w")
    with pytest.raises(DataFault, match=r"pth needs exactly one \.pth file"):
        locate_weights(case, str(folder), settings)
