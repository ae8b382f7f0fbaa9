"""Small datasets in the published layouts of ImageNet's validation set."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import savemat

from driver.catalog.catalog import Case
from driver.catalog.manifests import read_manifest
from driver.models.case import CaseManifest
from tests.driver.miniature import CASE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TAR = "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
SYNSETS = ("n00000030", "n00000010", "n00000020")
"""In the devkit's own order, which is not the alphabetical one."""

CLASSES = tuple(sorted(SYNSETS))


@dataclass(frozen=True)
class Pictures:
    """Names, bytes and class numbers (rank of the synset) of a small validation set."""

    names: tuple[str, ...]
    payloads: tuple[bytes, ...]
    labels: tuple[int, ...]

    @property
    def truth(self) -> tuple[int, ...]:
        """Return the devkit's numbers, from 1."""
        return tuple(SYNSETS.index(CLASSES[label]) + 1 for label in self.labels)


def make_pictures(count: int = 12, length: int = 600) -> Pictures:
    """Return pictures of about ``length`` bytes; JPEG by their first bytes, else noise."""
    chance = random.Random(7)
    return Pictures(
        names=tuple(f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, count + 1)),
        payloads=tuple(
            b"\xff\xd8\xff" + chance.randbytes(length + chance.randrange(40)) for _ in range(count)
        ),
        labels=tuple(chance.randrange(len(CLASSES)) for _ in range(count)),
    )


def member(name: str, payload: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return one member of an archive; ``changes`` are fields of its header."""
    info = tarfile.TarInfo(name)
    info.size = len(payload)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, payload


def write_tar(
    path: Path,
    pictures: Pictures,
    more: Sequence[tuple[tarfile.TarInfo, bytes]] = (),
    prefix: str = "",
) -> str:
    """Write the archive and return its md5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, payload in zip(pictures.names, pictures.payloads, strict=True):
            info, _ = member(prefix + name, payload)
            archive.addfile(info, io.BytesIO(payload))
        for info, payload in more:
            archive.addfile(info, io.BytesIO(payload))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def meta_mat(synsets: Sequence[str] = SYNSETS) -> bytes:
    """Return meta.mat: a struct array with the kit's fields; inner nodes come after the leaves."""
    names = [*synsets, "n09999999"]
    rows = np.zeros(
        (len(names), 1), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    )
    for place, name in enumerate(names):
        rows[place, 0] = (float(place + 1), name, 0.0 if place < len(synsets) else 3.0)
    stream = io.BytesIO()
    target: Any = stream  # the library's stubs accept only file names
    savemat(target, {"synsets": rows})
    return stream.getvalue()


def truth_text(pictures: Pictures) -> bytes:
    """Return the ground truth: one number per line."""
    return "".join(f"{number}\n" for number in pictures.truth).encode()


def write_devkit(path: Path, pictures: Pictures, **files: bytes | None) -> None:
    """Write the kit's archive; ``meta`` and ``truth`` replace its files, None leaves one out."""
    contents = {
        "ILSVRC2012_devkit_t12/data/meta.mat": files.get("meta", meta_mat()),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": files.get(
            "truth", truth_text(pictures)
        ),
        "ILSVRC2012_devkit_t12/readme.txt": b"hello",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, payload in contents.items():
            if payload is not None:
                info, _ = member(name, payload)
                archive.addfile(info, io.BytesIO(payload))


def write_flat(folder: Path, pictures: Pictures) -> None:
    """Write the pictures into one folder."""
    folder.mkdir(parents=True)
    for name, payload in zip(pictures.names, pictures.payloads, strict=True):
        (folder / name).write_bytes(payload)


def write_image_folder(folder: Path, pictures: Pictures) -> None:
    """Write the pictures into one folder per class."""
    for synset in CLASSES:
        (folder / "val" / synset).mkdir(parents=True)
    for name, payload, label in zip(
        pictures.names, pictures.payloads, pictures.labels, strict=True
    ):
        (folder / "val" / CLASSES[label] / name).write_bytes(payload)


def make_case(folder: Path, md5: str | None = None) -> Case:
    """Return a case of three synsets whose archive has this md5."""
    text = CASE.replace("classes = 2", f'classes = {len(CLASSES)}\nclass_names = "n[0-9]{{8}}"')
    if md5:
        text = text.replace("[metric]", f'archive = {{ file = "{TAR}", md5 = "{md5}" }}\n[metric]')
    path = folder / "case" / "case.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Case(manifest=read_manifest(path, CaseManifest), folder=path.parent)
