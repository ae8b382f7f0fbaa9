"""The content key of an image: a hash of the stack's folder, its base and the vendor's installers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.stacks.locks import lock_sha256
from driver.system.hashing import file_sha256, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.stacks.base_image import Base

KEY_DIGITS = 12
LOCK = "requirements.lock"
LOCK_FILES = (LOCK, "Dockerfile", "stack.toml")
NOT_BUILT_FROM = frozenset({"stack.toml", "requirements.in", "README.md", "__pycache__"})
"""Files of a stack's folder that do not affect the image."""


def recipe_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that a stack's image is built from: Dockerfile, lock file, copied files."""
    entries = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        path for path in entries if NOT_BUILT_FROM.isdisjoint(path.relative_to(folder).parts)
    )


def recipe_sha256(folder: Path) -> str:
    """Return the sha256 (hex) over names, execute bits and bytes of the recipe's files."""
    digest = hashlib.sha256()
    for path in recipe_files(folder):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{file_mode(path):o}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def stack_digest(stack: Stack) -> str:
    """Return the digest of what a stack is built from: lock file, Dockerfile, manifest.

    For an interpreter of this host: the digest of its version and packages.
    """
    if stack.found is not None:
        return stack.found.digest
    files = {name: stack.folder / name for name in LOCK_FILES}
    return key_of({name: file_sha256(path) for name, path in files.items() if path.is_file()})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An image's content key, its tag, and the labels that record what it was made of."""

    key: str
    tag: str
    labels: dict[str, str]

    @property
    def short_key(self) -> str:
        """Return the shortened key for tags and lock files."""
        return self.key[:KEY_DIGITS]

    @classmethod
    def of(cls, stack: Stack, base: Base, installers: Mapping[str, Path]) -> Recipe:
        """Return the recipe of a stack on a base."""
        digests = {name: file_sha256(path) for name, path in installers.items()}
        recipe = recipe_sha256(stack.folder)
        lock = stack.folder / LOCK
        key = key_of({"recipe": recipe, "base": base.identity, "installers": digests})
        labels = {
            "vendor": stack.vendor,
            "stack": stack.name,
            "recipe": recipe,
            "lock": lock_sha256(lock) if lock.is_file() else "",
            "base": base.reference,
            "base-id": base.image_id,
            "base-digest": base.digest or "",
            "base-pinned": "yes" if base.pinned else "no",
            "installers": json.dumps(digests, sort_keys=True),
            "key": key,
        }
        return cls(
            key=key,
            tag=f"assay/{stack.vendor}:{stack.name}-{key[:KEY_DIGITS]}",
            labels={f"assay.{name}": value for name, value in labels.items()},
        )


def file_mode(path: Path) -> int:
    """Return a file's mode in the image: executable or not, independent of this host's umask."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644
