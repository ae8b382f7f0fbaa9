"""The digest of predictions is of their values: not of the archive, its order or its compression."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from driver.results.predictions import read_predictions

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = np.arange(12, dtype=np.int32).reshape(4, 3)
SCORES = np.linspace(0, 1, 4, dtype=np.float32)


def digest(path: Path) -> str:
    found = read_predictions(path.parent, path.name)
    assert found is not None
    return found.sha256


def test_the_same_values_have_one_digest_however_they_are_packed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(plain, classes=CLASSES, scores=SCORES)
    np.savez_compressed(packed, scores=SCORES, classes=CLASSES)
    assert plain.read_bytes() != packed.read_bytes()
    assert digest(plain) == digest(packed)
    found = read_predictions(tmp_path, plain.name)
    assert found is not None
    assert (found.items, found.arrays) == (4, ("classes", "scores"))


@pytest.mark.parametrize(
    "changed",
    [
        {"classes": CLASSES + 1},
        {"classes": CLASSES.astype(np.int64)},
        {"classes": CLASSES.reshape(3, 4)},
        {"labels": CLASSES},
        {"classes": CLASSES, "scores": SCORES},
    ],
    ids=["value", "dtype", "shape", "name", "one more"],
)
def test_anything_else_is_another_digest(
    tmp_path: Path, changed: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
) -> None:
    np.savez(tmp_path / "a.npz", classes=CLASSES)
    np.savez(tmp_path / "b.npz", **changed)  # type: ignore[arg-type]
    assert digest(tmp_path / "a.npz") != digest(tmp_path / "b.npz")


def test_what_is_no_plain_archive_has_no_digest(tmp_path: Path) -> None:
    whole = tmp_path / "a.npz"
    np.savez(whole, classes=CLASSES)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:80])
    (tmp_path / "link.npz").symlink_to(whole)
    np.savez(tmp_path / "objects.npz", classes=np.array([{}], dtype=object))
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("classes.npy", "no array")
    for name in ("cut", "link", "objects", "text", "missing"):
        assert read_predictions(tmp_path, f"{name}.npz") is None
