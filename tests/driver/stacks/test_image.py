"""Images: named by their content, built without network access; failures give the reason."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.vendor import Stack
from driver.errors import EnvironmentFault, ImageFault, UsageFault
from driver.models.stack import StackManifest
from driver.stacks.base_image import resolve_base
from driver.stacks.building.build_context import find_installers, write_context
from driver.stacks.image import ImageBuilder, build_fault
from driver.stacks.recipes import recipe_sha256
from tests.driver.wheels import make_wheel, sha256, write_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

DIGEST = "sha256:" + "d" * 64


class NotFound(OSError):
    """The SDK's error for an unknown image: an OSError with a response."""

    @dataclass
    class Response:
        """Only its status is read."""

        status_code: int = 404

    response = Response()


@dataclass
class FakeEngine:
    """An engine that stores images by name and records every call."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    registry: set[str] = field(default_factory=set)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    build_error: str | None = None
    context: dict[str, bytes] = field(default_factory=dict)

    def inspect_image(self, image: str) -> dict[str, Any]:
        if image not in self.known:
            raise NotFound(image)
        return self.known[image]

    def images(self, *, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        # As Podman 4, which finds nothing by several labels.
        wanted = [filters["label"]] if isinstance(filters["label"], str) else ["no=such"]
        return [
            {"Id": one["Id"], "RepoTags": [name], "Labels": labels, "Created": one["Created"]}
            for name, one in self.known.items()
            if (labels := one["Config"]["Labels"])
            and all(labels.get(w.partition("=")[0]) == w.partition("=")[2] for w in wanted)
        ]

    def pull(self, repository: str, *, stream: bool, decode: bool) -> Iterator[dict[str, Any]]:
        assert stream
        assert decode
        self.calls.append(("pull", repository))
        if repository in self.registry:
            self.add(repository, digests=[f"{repository.partition(':')[0]}@{DIGEST}"])
            yield {"status": "done"}
        else:
            yield {"error": "no such host"}

    def import_image_from_file(
        self, filename: str, *, repository: str, tag: str, changes: list[str]
    ) -> str:
        self.calls.append(("import", (filename, changes)))
        self.add(f"{repository}:{tag}")
        return ""

    def build(self, **options: Any) -> Iterable[dict[str, Any]]:
        with tarfile.open(fileobj=options.pop("fileobj")) as context:
            self.context = {
                entry.name: (context.extractfile(entry) or io.BytesIO()).read()
                for entry in context.getmembers()
            }
        self.calls.append(("build", options))
        yield {"stream": "Step 1/2 : RUN pip install\n"}
        yield {"stream": "\x1b[91mERROR: \x1b[0mno wheel"}
        if self.build_error is not None:
            yield {"error": self.build_error}
            return
        if "target" not in options:
            self.add(options["tag"], labels=options["labels"])

    def remove_image(self, image: str) -> None:
        self.calls.append(("remove", image))

    def add(self, name: str, labels: dict[str, str] | None = None, digests: list[str] = []) -> None:  # noqa: B006
        number = len(self.known)
        self.known[name] = {
            "Id": f"sha256:{number:064}",
            "RepoDigests": digests,
            "Config": {"Labels": labels},
            "Created": number,
        }

    def called(self, name: str) -> list[Any]:
        return [what for call, what in self.calls if call == name]


def manifest(python: str = "3.11", digest: str | None = None, **more: Any) -> StackManifest:
    return StackManifest.model_validate(
        {
            "schema": "assay/stack/1",
            "vendor": "acme",
            "name": "acme1.0",
            "python": python,
            "base": {"image": "registry.lab/python:3.11", "digest": digest},
            "versions": {},
            **more,
        }
    )


@pytest.fixture
def stack(shelf: Path, tmp_path: Path) -> Stack:
    folder = tmp_path / "images" / "acme" / "acme1.0"
    write_lock(folder / "requirements.lock", make_wheel(shelf, "acme"))
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n", encoding="utf-8")
    (folder / "stack.toml").write_text("", encoding="utf-8")
    return Stack(manifest=manifest(), folder=folder)


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.add("registry.lab/python:3.11", digests=[f"registry.lab/python@{DIGEST}"])
    return engine


def builder(engine: FakeEngine, tmp_path: Path, **more: Any) -> ImageBuilder:
    return ImageBuilder(
        api=engine,
        home=tmp_path / "home",
        torch_index="https://nowhere.invalid",
        on_progress=more.pop("tell", lambda _text: None),
        **more,
    )


def test_an_image_builds_with_the_network_off_from_the_locks_wheels_alone(
    engine: FakeEngine, stack: Stack, tmp_path: Path, shelf: Path
) -> None:
    make_wheel(tmp_path / "home" / "wheelhouse", "unrelated")
    image = builder(engine, tmp_path).ensure(stack)
    (options,) = engine.called("build")
    assert options["network_mode"] == "none"
    assert options["buildargs"]["BASE"] == "registry.lab/python:3.11"
    assert sorted(engine.context) == [
        "Dockerfile", "installers", "requirements.lock", "wheels",
        "wheels/acme-1.0-py3-none-any.whl",
    ]  # fmt: skip
    assert image.built
    assert image.tag.startswith("assay/acme:acme1.0-")


def test_an_images_labels_record_what_it_was_made_of(
    engine: FakeEngine, stack: Stack, tmp_path: Path, shelf: Path
) -> None:
    provenance = builder(engine, tmp_path).ensure(stack).provenance(stack.manifest)
    (wheel,) = shelf.iterdir()
    assert provenance["lock_sha256"] == sha256(stack.folder / "requirements.lock")
    assert provenance["wheels"] == {wheel.name: sha256(wheel)}
    assert provenance["base"] == "registry.lab/python:3.11"
    assert provenance["base_digest"] == DIGEST
    assert provenance["pinned"] is False
    assert str(tmp_path) not in json.dumps(provenance)


def test_an_existing_image_is_not_rebuilt(engine: FakeEngine, stack: Stack, tmp_path: Path) -> None:
    first = builder(engine, tmp_path).ensure(stack)
    again = builder(engine, tmp_path).ensure(stack)
    with_base = builder(engine, tmp_path, base="registry.lab/python:3.11").ensure(stack)
    assert len(engine.called("build")) == 1
    assert (again.id, with_base.id) == (first.id, first.id)
    assert not again.built


def test_without_base_an_image_on_any_base_is_used(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    # An air-gapped lab loads an image whose base is not available.
    engine.add("lab/own:1")
    first = builder(engine, tmp_path, base="lab/own:1").ensure(stack)
    del engine.known["lab/own:1"], engine.known["registry.lab/python:3.11"]
    assert builder(engine, tmp_path).ensure(stack).id == first.id
    assert engine.called("pull") == []


def test_stand_in_images_are_found_only_on_request(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    real = builder(engine, tmp_path).ensure(stack)
    # An image inherits the labels of its base, here of the newer of two.
    engine.add("assay/acme:imitated", labels={**real.labels, "assay.standin": "acme"})
    found = builder(engine, tmp_path).find(stack)
    asked = builder(engine, tmp_path, stand_ins=True).find(stack)
    assert found is not None
    assert asked is not None
    assert (found.id, found.stand_in) == (real.id, False)
    assert (asked.tag, asked.stand_in) == ("assay/acme:imitated", True)
    del engine.known["assay/acme:imitated"]
    assert builder(engine, tmp_path, stand_ins=True).ensure(stack).id == real.id


def test_another_base_is_another_image(engine: FakeEngine, stack: Stack, tmp_path: Path) -> None:
    engine.add("lab/own:1")
    tags = {
        builder(engine, tmp_path, base=base).ensure(stack).tag
        for base in ("lab/own:1", "registry.lab/python:3.11")
    }
    assert len(tags) == 2


@pytest.mark.parametrize(("name", "changes"), [
    ("Dockerfile", True), ("requirements.lock", True), ("patch.diff", True),
    ("README.md", False), ("stack.toml", False), ("requirements.in", False),
])  # fmt: skip
def test_the_recipe_is_what_the_image_is_built_from(stack: Stack, name: str, changes: bool) -> None:
    before = recipe_sha256(stack.folder)
    (stack.folder / name).write_text("# other\n", encoding="utf-8")
    assert (recipe_sha256(stack.folder) != before) is changes


def test_a_context_is_the_same_bytes_on_every_host(stack: Stack, shelf: Path) -> None:
    import os

    contexts = []
    for moment in (1, 2_000_000_000):
        os.utime(stack.folder / "Dockerfile", (moment, moment))
        stream = io.BytesIO()
        write_context(stream, stack.folder, shelf.iterdir(), {})
        contexts.append(stream.getvalue())
    assert contexts[0] == contexts[1]


def test_a_failed_build_shows_its_last_lines_and_keeps_nothing(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    engine.build_error = f"The command '/bin/sh -c {'x' * 900}' returned a non-zero code: 1"
    with pytest.raises(ImageFault) as caught:
        builder(engine, tmp_path).ensure(stack)
    assert "ERROR: no wheel" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 400
    assert not list((tmp_path / "home" / "work").iterdir())


def test_a_full_disk_is_named() -> None:
    fault = build_fault("assay/acme:1", "write /x: no space left on device", [])
    assert "docker system df" in fault.remedy


def test_a_pinned_base_is_fetched_by_digest(engine: FakeEngine, tmp_path: Path) -> None:
    reference = f"registry.lab/python:3.11@{DIGEST}"
    engine.registry.add(reference)
    base = resolve_base(
        engine, manifest(digest=DIGEST), None, home=tmp_path, on_progress=lambda _text: None
    )
    assert engine.called("pull") == [reference]
    assert (base.digest, base.pinned) == (DIGEST, True)


def test_a_base_that_cannot_be_pulled_names_both_options(tmp_path: Path) -> None:
    with pytest.raises(ImageFault, match="no such host") as caught:
        resolve_base(FakeEngine(), manifest(), None, home=tmp_path, on_progress=lambda _text: None)
    assert "BASE=<image>" in caught.value.remedy
    assert "BASE=debootstrap" in caught.value.remedy


def test_an_image_without_a_tag_is_not_fetched_with_all_its_tags(tmp_path: Path) -> None:
    engine = FakeEngine(registry={"lab:5000/own:latest"})
    with pytest.raises(ImageFault):
        resolve_base(
            engine, manifest(), "lab:5000/own", home=tmp_path, on_progress=lambda _text: None
        )
    assert engine.called("pull") == ["lab:5000/own:latest"]


def test_a_debian_base_is_refused_where_it_cannot_fit(engine: FakeEngine, tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"needs Python 3\.8") as caught:
        resolve_base(
            engine, manifest("3.8"), "debootstrap", home=tmp_path, on_progress=lambda _text: None
        )
    assert "leave BASE out" in caught.value.remedy
    assert engine.calls == []


def test_a_debian_base_has_the_packages_of_the_stack_and_a_tag_of_its_own(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def make(command: list[str], **_: object) -> str:
        asked.append(command)
        pathlib.Path(command[1]).write_bytes(b"")
        return ""

    monkeypatch.setattr("driver.stacks.base_image.run_child", make)
    base = {"image": "registry.lab/python:3.11", "debian_packages": ["g++", "make"]}
    made = {
        resolve_base(
            engine, one, "debootstrap", home=tmp_path, on_progress=lambda _text: None
        ).reference
        for one in (manifest(), manifest(base=base), manifest(base=base))
    }
    assert [command[3] for command in asked] == ["", "g++,make"]
    assert len(made) == 2


def test_a_failed_debootstrap_shows_the_tools_output(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    debootstrap = tools / "debootstrap"
    debootstrap.write_text("#!/bin/sh\necho 'E: mirror is gone' >&2\nexit 1\n", encoding="utf-8")
    debootstrap.chmod(0o755)
    fake_id = tools / "id"
    fake_id.write_text("#!/bin/sh\necho 0\n", encoding="utf-8")
    fake_id.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(EnvironmentFault, match="debootstrap of bookworm") as caught:
        resolve_base(
            engine, manifest(), "debootstrap", home=tmp_path, on_progress=lambda _text: None
        )
    assert "BASE=<image>" in caught.value.remedy
    assert engine.called("import") == []


INSTALLER = {"file": "acme.run", "source": "acme.example/downloads", "licence": "Acme EULA"}


def test_a_missing_installer_has_its_source_in_the_remedy(stack: Stack, tmp_path: Path) -> None:
    needing = Stack(manifest=manifest(installers=[INSTALLER]), folder=stack.folder)
    for folder in (None, tmp_path):
        with pytest.raises(ImageFault, match=r"acme\.run") as caught:
            find_installers(needing, folder)
        assert "acme.example/downloads" in caught.value.remedy
        assert "INSTALLERS=<folder>" in caught.value.remedy


def test_an_installer_of_another_release_is_refused(stack: Stack, tmp_path: Path) -> None:
    pinned = INSTALLER | {"sha256": "0" * 64}
    needing = Stack(manifest=manifest(installers=[pinned]), folder=stack.folder)
    (tmp_path / "acme.run").write_bytes(b"another release")
    with pytest.raises(ImageFault, match="has sha256"):
        find_installers(needing, tmp_path)


@pytest.mark.parametrize("body", [None, b"another release"])
def test_installers_are_checked_before_a_base_is_pulled(
    engine: FakeEngine, stack: Stack, tmp_path: Path, body: bytes | None
) -> None:
    pinned = manifest(installers=[INSTALLER | {"sha256": "0" * 64}])
    needing = Stack(manifest=pinned, folder=stack.folder)
    folder = tmp_path / "installers"
    folder.mkdir()
    if body is not None:
        (folder / "acme.run").write_bytes(body)
    with pytest.raises(ImageFault, match=r"acme\.run"):
        builder(engine, tmp_path, installers=folder).ensure(needing)
    assert [name for name, _ in engine.calls if name in ("pull", "build")] == []


def pinned_to(stack: Stack, **more: Any) -> Stack:
    return Stack(manifest=manifest(**more), folder=stack.folder)


def test_a_later_pin_applies(engine: FakeEngine, stack: Stack, tmp_path: Path) -> None:
    built = builder(engine, tmp_path).ensure(stack)
    assert built.provenance(stack.manifest)["pinned"] is False
    same = pinned_to(stack, digest=DIGEST)
    found = builder(engine, tmp_path).find(same)
    assert found is not None
    assert found.id == built.id
    assert found.provenance(same.manifest)["pinned"] is True
    other = pinned_to(stack, digest="sha256:" + "e" * 64)
    assert builder(engine, tmp_path).find(other) is None
    with pytest.raises(ImageFault, match="e" * 64):
        builder(engine, tmp_path).ensure(other)


def test_an_image_on_a_named_base_is_identified_by_its_base(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    engine.add("lab/own:1")
    named = builder(engine, tmp_path, base="lab/own:1").ensure(stack)
    pinned = pinned_to(stack, digest="sha256:" + "e" * 64)
    found = builder(engine, tmp_path).find(pinned)
    assert found is not None
    assert found.id == named.id
    said = found.provenance(pinned.manifest)
    assert (said["base"], said["pinned"]) == ("lab/own:1", False)
    assert said["base_of_stack"] == "registry.lab/python:3.11"
    # With BASE set, an image on another base does not match.
    assert builder(engine, tmp_path, base="lab/own:1").find(stack) is not None
    for base in ("lab/own:2", "debootstrap"):
        assert builder(engine, tmp_path, base=base).find(stack) is None


def test_an_image_with_another_installer_does_not_match(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    folder = tmp_path / "installers"
    folder.mkdir()
    (folder / "acme.run").write_bytes(b"release 1")
    first_sha256 = sha256(folder / "acme.run")
    needing = pinned_to(stack, installers=[INSTALLER])
    first = builder(engine, tmp_path, installers=folder).ensure(needing)
    assert first.provenance(needing.manifest)["installers_unpinned"] == ["acme.run"]
    assert builder(engine, tmp_path).ensure(needing).id == first.id, "nothing says otherwise"

    fitting = pinned_to(stack, installers=[INSTALLER | {"sha256": first_sha256}])
    assert builder(engine, tmp_path).ensure(fitting).id == first.id
    other = pinned_to(stack, installers=[INSTALLER | {"sha256": "0" * 64}])
    assert builder(engine, tmp_path).find(other) is None

    (folder / "acme.run").write_bytes(b"release two")
    second = builder(engine, tmp_path, installers=folder).ensure(needing)
    assert (second.built, second.id != first.id) == (True, True)
    with pytest.raises(ImageFault, match="has sha256"):
        builder(engine, tmp_path, installers=folder).ensure(fitting)
    # A folder without this stack's files is ignored.
    assert builder(engine, tmp_path, installers=tmp_path).ensure(fitting).id == first.id


def test_pins_are_for_the_real_sdk_not_its_stand_in(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    real = builder(engine, tmp_path).ensure(stack)
    engine.add("assay/acme:imitated", labels={**real.labels, "assay.standin": "acme"})
    pinned = pinned_to(stack, digest="sha256:" + "e" * 64)
    found = builder(engine, tmp_path, stand_ins=True).find(pinned)
    assert found is not None
    assert found.stand_in


def test_installers_reach_the_context_and_the_key(
    engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    needing = Stack(manifest=manifest(installers=[INSTALLER]), folder=stack.folder)
    folder = tmp_path / "installers"
    folder.mkdir()
    tags = set()
    for body in (b"one", b"two"):
        (folder / "acme.run").write_bytes(body)
        build = builder(engine, tmp_path, base="registry.lab/python:3.11", installers=folder)
        tags.add(build.ensure(needing).tag)
        assert engine.context["installers/acme.run"] == body
    assert len(tags) == 2
