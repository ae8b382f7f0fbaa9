"""Base images: the stack's pinned one, a lab's own, or a Debian made on this host."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from driver.errors import EnvironmentFault, ImageFault, UsageFault
from driver.runners.engine.client import engine_faults
from driver.system.file_lock import locked
from driver.system.hashing import file_sha256
from driver.system.offline import require_online
from driver.system.settings import DEBOOTSTRAP
from driver.system.subprocesses import ChildFailed, run_child

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.models.stack import StackManifest

DEBIAN_BASE = "assay/base"
DEBIAN_SUITE = "bookworm"
DEBIAN_PYTHON = "3.11"
MAKE_BASE = Path(__file__).resolve().parents[2] / "images" / "base" / "make-base"
NOT_FOUND = 404
NEEDED_ENVIRONMENT = ("HOME", "PATH", "TMPDIR", "DEBIAN_MIRROR", "http_proxy", "https_proxy")

Progress = Callable[[str], None]


class ImageApi(Protocol):
    """The part of the Docker SDK's low-level client in use; it works with Podman's socket too."""

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Return the engine's data of an image; raises an OSError with a 404 response if unknown."""

    def images(self, *, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the images that match."""

    def pull(self, repository: str, *, stream: bool, decode: bool) -> Iterable[dict[str, Any]]:
        """Pull an image from its registry."""

    def import_image_from_file(
        self, filename: str, *, repository: str, tag: str, changes: list[str]
    ) -> str:
        """Make an image from a root filesystem."""

    def build(self, **options: Any) -> Iterable[dict[str, Any]]:
        """Build an image from a context."""

    def remove_image(self, image: str) -> object:
        """Remove an image."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image on this engine. ``digest`` is the registry's, None for one made on this host.

    ``pinned``: identified by a digest, not just by a tag.
    """

    reference: str
    image_id: str
    digest: str | None
    pinned: bool

    @property
    def identity(self) -> str:
        """Return what identifies this base: registry digest or image id."""
        return self.digest or self.image_id


def inspect(api: ImageApi, reference: str) -> dict[str, Any] | None:
    """Return the engine's data of an image, None if there is no such image."""
    with engine_faults():
        try:
            return api.inspect_image(reference)
        except OSError as error:
            if getattr(getattr(error, "response", None), "status_code", None) == NOT_FOUND:
                return None
            raise


def resolve_base(
    api: ImageApi, manifest: StackManifest, base: str | None, *, home: Path, on_progress: Progress
) -> Base:
    """Return the base of a stack on this engine, pulled or made if missing.

    ``base`` replaces the one that the manifest names; ``debootstrap`` makes one. Raises ImageFault
    when it is not available, UsageFault when it cannot fit the stack.
    """
    if base == DEBOOTSTRAP:
        return _debian_base(api, manifest, home=home, on_progress=on_progress)
    found = find_base(api, manifest, base)
    if found is None:
        _pull(api, _reference(manifest, base), on_progress)
        found = find_base(api, manifest, base)
    if found is None:
        raise ImageFault(
            f"the engine pulled {_reference(manifest, base)} but does not list it",
            "run the same command again",
        )
    return found


def find_base(api: ImageApi, manifest: StackManifest, base: str | None) -> Base | None:
    """Return the base of a stack if it is on this engine; ``base`` is that of resolve_base."""
    reference = _reference(manifest, base)
    found = inspect(api, reference)
    if found is None:
        return None
    by_digest = "@sha256:" in reference
    digests = [entry.partition("@")[2] for entry in found.get("RepoDigests") or []]
    listed = None if base == DEBOOTSTRAP else next(iter(sorted(digests)), None)
    return Base(
        reference=reference,
        image_id=found["Id"],
        digest=reference.partition("@")[2] if by_digest else listed,
        pinned=by_digest,
    )


def _reference(manifest: StackManifest, base: str | None) -> str:
    if base == DEBOOTSTRAP:
        return f"{DEBIAN_BASE}:{_debian_tag(manifest)}"
    if base is None and manifest.base.digest is not None:
        return f"{manifest.base.image.partition('@')[0]}@{manifest.base.digest}"
    return base or manifest.base.image


def _pull(api: ImageApi, reference: str, on_progress: Progress) -> None:
    require_online(
        f"the engine has no base image {reference}",
        "type: docker load -i <archive>, or name one that the engine has: BASE=<image>",
    )
    on_progress(f"fetching the base image {reference}")
    # Without a tag the engine would pull every tag.
    named = reference.rpartition("/")[2]
    wanted = reference if ":" in named else f"{reference}:latest"
    try:
        problems = [
            step["error"] for step in api.pull(wanted, stream=True, decode=True) if "error" in step
        ]
    except OSError as error:
        problems = [str(getattr(error, "explanation", None) or error)]
    if problems:
        raise ImageFault(
            f"the base image {reference} cannot be pulled: {problems[0]}",
            "name one that this host has or can reach (a lab's mirror): BASE=<image>; "
            "for stacks with Debian's Python 3.11, make one here: BASE=debootstrap",
        )


def _debian_base(
    api: ImageApi, manifest: StackManifest, *, home: Path, on_progress: Progress
) -> Base:
    if not f"{manifest.python}.".startswith(f"{DEBIAN_PYTHON}."):
        raise UsageFault(
            f"BASE=debootstrap makes a Debian with Python {DEBIAN_PYTHON}, but the stack "
            f"{manifest.name} of {manifest.vendor} needs Python {manifest.python}",
            f"leave BASE out to use {manifest.base.image}, or name your own base: BASE=<image>",
        )
    reference = _reference(manifest, DEBOOTSTRAP)
    tag = _debian_tag(manifest)
    with locked(home / "locks" / f"base-{tag}.lock"):
        found = find_base(api, manifest, DEBOOTSTRAP)
        if found is None:
            require_online(
                f"the engine has no image {reference}, and debootstrap needs a mirror",
                "type: docker load -i <archive>, or name one that the engine has: BASE=<image>",
            )
            on_progress(f"making a Debian {DEBIAN_SUITE} base with debootstrap (about 45 s, once)")
            _import_debian(api, tag, _debian_packages(manifest), home)
            found = find_base(api, manifest, DEBOOTSTRAP)
    if found is None:
        raise ImageFault(
            f"the engine imported {reference} but does not list it",
            "check the engine's log, and run the same command again",
        )
    return found


def _debian_packages(manifest: StackManifest) -> str:
    return ",".join(manifest.base.debian_packages)


def _debian_tag(manifest: StackManifest) -> str:
    content = MAKE_BASE.read_bytes() + _debian_packages(manifest).encode()
    return f"{DEBIAN_SUITE}-{hashlib.sha256(content).hexdigest()[:12]}"


def _import_debian(api: ImageApi, tag: str, packages: str, home: Path) -> None:
    (home / "work").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home / "work", prefix="base-") as folder:
        rootfs = Path(folder) / "rootfs.tar"
        env = {key: os.environ[key] for key in NEEDED_ENVIRONMENT if key in os.environ}
        try:
            run_child([str(MAKE_BASE), str(rootfs), DEBIAN_SUITE, packages], env=env)
        except ChildFailed as error:
            said = [line.strip() for line in error.output.splitlines() if line.strip()]
            message, remedy = [*said, "", ""][:2] if len(said) < 2 else said[-2:]
            raise EnvironmentFault(
                f"the Debian base could not be made: {message}",
                remedy.removeprefix("→ ") or "name a base image: BASE=<image>",
            ) from error
        labels = f"LABEL assay.rootfs={file_sha256(rootfs)}"
        changes = [labels, "ENV LC_ALL=C.UTF-8", 'CMD ["python3"]']
        with engine_faults():
            api.import_image_from_file(
                str(rootfs), repository=DEBIAN_BASE, tag=tag, changes=changes
            )
