"""Images of stacks: found by their content, or built without network access."""

from __future__ import annotations

import json
import re
import tempfile
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from driver.errors import ImageFault
from driver.runners.engine.client import connect, engine_faults
from driver.stacks.base_image import DEBIAN_BASE, inspect, resolve_base
from driver.stacks.building.build_context import find_installers, write_context
from driver.stacks.locks import parse_lock, target_of
from driver.stacks.recipes import LOCK, Recipe, recipe_sha256
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.file_lock import locked
from driver.system.hashing import remembered_sha256
from driver.system.settings import DEBOOTSTRAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.models.stack import StackManifest
    from driver.stacks.base_image import Base, ImageApi, Progress
    from driver.system.settings import Settings

SILENCE_SECONDS = 3600
PODMANS_PREFIXES = ("localhost/", "docker.io/")
"""Podman's prefixes of a tag without a registry: of images that were loaded, and that were built."""

STAND_IN = "assay.standin"
"""The label of images whose base is a test stand-in; images inherit their base's labels."""

FIRST_STAGE = "builder"
"""The stage of a Dockerfile that installs the wheels."""

LOG_LINES = 8
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SLOW_STEP = re.compile(r" : (RUN|COPY) ")
STEP_CHARACTERS = 72
ENGINE_TALK = ("--->", "Removing intermediate container")
LONG_COMMAND = re.compile(r"The command '(.{60}).*' returned", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class StackImage:
    """An image of a stack on this engine, with the labels that say what it was made of."""

    id: str
    tag: str
    labels: Mapping[str, str]
    built: bool = False

    @property
    def stand_in(self) -> bool:
        """Whether its SDK, and so its devices, are test stand-ins."""
        return STAND_IN in self.labels

    @property
    def base(self) -> str:
        """Return the name of its base image."""
        return self.labels.get("assay.base", "")

    def provenance(self, manifest: StackManifest) -> dict[str, object]:
        """Return its description for a result; ``manifest`` is its stack's.

        ``pinned``: the base is pinned, by the manifest or by a digest in BASE.
        """
        labels = self.labels
        digest = manifest.base.digest
        by_manifest = digest is not None and labels.get("assay.base-digest") == digest
        return {
            "kind": "image",
            "image": self.tag,
            "image_id": self.id,
            "recipe_sha256": labels.get("assay.recipe"),
            "lock_sha256": labels.get("assay.lock") or None,
            "base": labels.get("assay.base"),
            "base_id": labels.get("assay.base-id"),
            "base_digest": labels.get("assay.base-digest") or None,
            "base_of_stack": manifest.base.image,
            "pinned": by_manifest or labels.get("assay.base-pinned") == "yes",
            "wheels": json.loads(labels.get("assay.wheels") or "{}"),
            "installers": json.loads(labels.get("assay.installers") or "{}"),
            "installers_unpinned": [one.file for one in manifest.installers if one.sha256 is None],
        }


def prepare_image(stack: Stack, settings: Settings, *, on_progress: Progress) -> StackImage:
    """Return the stack's image on this machine's engine, built if missing.

    Raises ImageFault when it cannot be built, EnvironmentFault when no engine answers.
    """
    client = connect()
    try:
        # A build step that unpacks gigabytes is silent for longer than the SDK's default minute.
        client.api.timeout = SILENCE_SECONDS
        return make_builder(client.api, stack, settings, on_progress).ensure(stack)
    finally:
        client.close()


def make_builder(
    api: ImageApi, stack: Stack, settings: Settings, on_progress: Progress
) -> ImageBuilder:
    """Return the builder of a stack's image on an engine, as the settings say."""
    return ImageBuilder(
        api=api,
        home=settings.home,
        torch_index=settings.torch_index,
        on_progress=on_progress,
        base=settings.base_of(stack.vendor),
        installers=settings.installers,
        stand_ins=settings.stand_ins,
    )


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which image of a stack is wanted: see ImageBuilder.find, whose fields these are."""

    stack: Stack
    base: str | None
    installers: Path | None
    home: Path
    stand_ins: bool

    def newest(self, listed: Iterable[Mapping[str, Any]]) -> StackImage | None:
        """Return the newest image that matches, of a list as the Engine API gives it; None if none does.

        Its entries have ``Id``, ``Created``, ``RepoTags`` and ``Labels``.
        """
        of_stack = {
            "assay.recipe": recipe_sha256(self.stack.folder),
            "assay.vendor": self.stack.vendor,
            "assay.stack": self.stack.name,
        }
        own = [image for image in listed if of_stack.items() <= (image["Labels"] or {}).items()]
        imitated = [image for image in own if STAND_IN in image["Labels"]]
        given = self._given() if own else {}
        usual = [
            image
            for image in own
            if image not in imitated
            and fits_pins(image["Labels"], self.stack.manifest)
            and self._is_on_base(image["Labels"])
            and not differing(image["Labels"], given)
        ]
        chosen = imitated if self.stand_ins and imitated else usual
        found = [(image["Created"], image["Id"], tag) for image in chosen if (tag := _tag(image))]
        if not found:
            return None
        _, image_id, tag = max(found)
        labels = next(image["Labels"] for image in own if image["Id"] == image_id)
        return StackImage(id=image_id, tag=tag, labels=labels)

    def _is_on_base(self, labels: Mapping[str, str]) -> bool:
        """Whether an image is on the base that BASE names; True without BASE."""
        made_on = labels.get("assay.base", "")
        if self.base == DEBOOTSTRAP:
            return made_on.startswith(f"{DEBIAN_BASE}:")
        return self.base is None or made_on == self.base

    def _given(self) -> dict[str, str]:
        """Return the sha256 of those of the stack's installers that are in INSTALLERS."""
        folder = self.installers
        names = [installer.file for installer in self.stack.manifest.installers]
        return {
            name: remembered_sha256(folder / name, self.home / "cache" / "sha256")
            for name in names
            if folder is not None and (folder / name).is_file()
        }


@dataclass(frozen=True, kw_only=True)
class ImageBuilder:
    """Finds and builds images on one engine. ``base`` replaces the stack's own base.

    ``stand_ins``: prefer images with stand-in SDKs, which are otherwise ignored.
    """

    api: ImageApi
    home: Path
    torch_index: str
    on_progress: Progress
    base: str | None = None
    installers: Path | None = None
    stand_ins: bool = False

    def find(self, stack: Stack) -> StackImage | None:
        """Return the newest image that matches the stack's folder, its pins and INSTALLERS.

        An image on any base set with BASE matches: an air-gapped lab has loaded images, but not their
        bases. An image on the stack's own base must match the pin.
        """
        recipe = f"assay.recipe={recipe_sha256(stack.folder)}"
        with engine_faults():
            # One label: Podman 4 finds nothing by several (containers/podman#18092).
            listed = self.api.images(filters={"label": recipe})
        wanted = Wanted(
            stack=stack,
            base=self.base,
            installers=self.installers,
            home=self.home,
            stand_ins=self.stand_ins,
        )
        return wanted.newest(listed)

    def ensure(self, stack: Stack) -> StackImage:
        """Return the stack's image, built if missing.

        With ``base`` only an image on that base is used, else any that ``find`` returns. Raises
        ImageFault when it cannot be built, EnvironmentFault when no engine answers.
        """
        found = self.find(stack) if self.base is None else None
        if found is not None:
            return found
        # Check the installers first: a base is gigabytes.
        installers = find_installers(stack, self.installers)
        base = resolve_base(
            self.api, stack.manifest, self.base, home=self.home, on_progress=self.on_progress
        )
        recipe = Recipe.of(stack, base, installers)
        with self._lock(recipe):
            present = inspect(self.api, recipe.tag)
            if present is not None:
                return _image(present, recipe.tag, built=False)
            self._build(stack, base, recipe, installers)
            present = inspect(self.api, recipe.tag)
        if present is None:
            raise ImageFault(
                f"the engine built {recipe.tag} but does not list it", "check the engine's log"
            )
        return _image(present, recipe.tag, built=True)

    def build_ahead(self, stack: Stack, base: Base) -> None:
        """Build the first stage of a missing image on its base: ``ensure`` finds it in the engine's cache.

        Raises what ``ensure`` raises.
        """
        installers = find_installers(stack, self.installers)
        recipe = Recipe.of(stack, base, installers)
        quiet = replace(self, on_progress=lambda _text: None)
        with quiet._lock(recipe):
            if inspect(self.api, recipe.tag) is None:
                self.on_progress(f"building the first stage of {recipe.tag} too")
                quiet._build(stack, base, recipe, installers, target=FIRST_STAGE)

    def _lock(self, recipe: Recipe) -> AbstractContextManager[None]:
        waiting = f"waiting for a build of {recipe.tag} that has begun"
        lock = self.home / "locks" / f"image-{recipe.short_key}.lock"
        return locked(lock, on_wait=lambda: self.on_progress(waiting))

    def _build(
        self,
        stack: Stack,
        base: Base,
        recipe: Recipe,
        installers: Mapping[str, Path],
        *,
        target: str | None = None,
    ) -> None:
        wheels = self._wheels(stack)
        self.on_progress(f"building {recipe.tag} on {base.reference}, without network access")
        work = self.home / "work"
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work, prefix="context-") as context:
            write_context(context, stack.folder, wheels.values(), installers)
            context.seek(0)
            digests = {wheel.name: self._house.sha256(wheel) for wheel in wheels.values()}
            labels = recipe.labels | {"assay.wheels": json.dumps(digests, sort_keys=True)}
            wanted = {"target": target} if target else {"tag": recipe.tag, "labels": labels}
            with engine_faults():
                steps = self.api.build(
                    fileobj=context,
                    custom_context=True,
                    buildargs={"BASE": base.reference, "KEY": recipe.key},
                    network_mode="none",
                    rm=True,
                    forcerm=True,
                    decode=True,
                    **wanted,
                )
                self._follow(steps, recipe.tag)
        if target is None:
            self._remove_builder(recipe.key)

    @property
    def _house(self) -> Wheelhouse:
        return Wheelhouse(self.home)

    def _wheels(self, stack: Stack) -> dict[str, Path]:
        lock = stack.folder / LOCK
        if not lock.is_file():
            return {}
        return self._house.fill(
            parse_lock(lock),
            target_of(stack.manifest.python),
            torch_index=self.torch_index,
            on_progress=self.on_progress,
        )

    def _follow(self, steps: Iterable[dict[str, Any]], tag: str) -> None:
        """Read the build to its end; ImageFault with its last lines when it fails."""
        said: deque[str] = deque(maxlen=LOG_LINES)
        errors = []
        # Read to the end even after an error: a half-read stream keeps its socket open.
        for step in steps:
            line = COLOURS.sub("", str(step.get("stream", ""))).strip()
            if line.startswith("Step "):
                said.clear()
                if SLOW_STEP.search(line):
                    self.on_progress(line[:STEP_CHARACTERS])
            elif line and not line.startswith(ENGINE_TALK):
                said.append(line)
            if "error" in step:
                errors.append(str(step["error"]))
        if errors:
            raise build_fault(tag, errors[0], list(said))

    def _remove_builder(self, key: str) -> None:
        # The builder stage has wheels that the image does not need; failing to remove it wastes disk.
        mine: dict[str, Any] = {"label": f"assay.builder={key}", "dangling": True}
        with suppress(OSError):
            for image in self.api.images(filters=mine):
                with suppress(OSError):
                    self.api.remove_image(image["Id"])


def fits_pins(labels: Mapping[str, str], manifest: StackManifest) -> bool:
    """Whether an image was made of what its stack's manifest pins: base and installers."""
    pins = {one.file: one.sha256 for one in manifest.installers if one.sha256 is not None}
    if differing(labels, pins):
        return False
    digest = manifest.base.digest
    is_own = is_own_base(labels, manifest)
    return digest is None or not is_own or labels.get("assay.base-digest") == digest


def is_own_base(labels: Mapping[str, str], manifest: StackManifest) -> bool:
    """Whether an image is on the base that its stack's manifest names."""
    return labels.get("assay.base", "").partition("@")[0] == manifest.base.image.partition("@")[0]


def differing(labels: Mapping[str, str], installers: Mapping[str, str]) -> list[str]:
    """Return the names of installers whose sha256 differs from those an image was built with."""
    built_with = json.loads(labels.get("assay.installers") or "{}")
    return [name for name, digest in installers.items() if built_with.get(name) != digest]


def build_fault(tag: str, error: str, said: list[str]) -> ImageFault:
    """Return the error for a failed build, with the last lines of its output."""
    error = LONG_COMMAND.sub(r"The command '\1…' returned", error)
    log = "\n".join(f"    {line}" for line in said)
    if "no space left" in f"{error} {log}".lower():
        remedy = "free some space on the engine's disk: docker system df, docker image prune"
    else:
        remedy = "fix the Dockerfile, or name a suitable base: BASE=<image>"
    return ImageFault(f"the image {tag} could not be built: {error}\n{log}", remedy)


def _tag(image: Mapping[str, Any]) -> str | None:
    tags = [tag for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"]
    return min(map(own_name, tags), default=None)


def own_name(tag: str) -> str:
    """Return a tag of ours as Docker shows it, and as results and bundles name it."""
    for prefix in PODMANS_PREFIXES:
        tag = tag.removeprefix(prefix)
    return tag


def _image(inspected: Mapping[str, Any], tag: str, *, built: bool) -> StackImage:
    labels = inspected["Config"].get("Labels") or {}
    return StackImage(id=inspected["Id"], tag=tag, labels=labels, built=built)
