"""The images of reference and cpu as an engine holds them: what is in them, and how they build."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.catalog.vendor import Stack
from driver.errors import ImageFault
from driver.models.stack import StackManifest
from driver.stacks.base_image import find_base, inspect
from driver.stacks.image import ImageBuilder, StackImage
from driver.stacks.locks import parse_lock
from driver.stacks.recipes import Recipe
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

CATALOG = load_catalog(ROOT)
STACKS = {
    "reference": CATALOG.reference,
    "cpu": CATALOG.vendor("cpu").stacks[CATALOG.vendor("cpu").manifest.default_stack],
}
IMPORTS = {
    "reference": "import torch, transformers, onnx, onnxsim, onnxruntime",
    "cpu": "import torch, transformers, onnxruntime",
}
SIZE_LIMIT_BYTES = 1_000_000_000


def builder(engine: Any, home: Path, **more: Any) -> ImageBuilder:
    return ImageBuilder(
        api=engine.api,
        home=home,
        torch_index="https://nowhere.invalid",
        on_progress=lambda _text: None,
        **more,
    )


@pytest.fixture(params=STACKS)
def built(request: pytest.FixtureRequest, engine: Any, tmp_path: Path) -> tuple[str, StackImage]:
    """Return each vendor with its image, which has to be there (.ci/run builds both)."""
    image = builder(engine, tmp_path).find(STACKS[request.param])
    if image is None:
        reason = f"the image of {request.param} as it is now is not there: make images"
        if os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return request.param, image


def guest(engine: Any, image: str, code: str) -> str:
    output: bytes = engine.containers.run(
        image,
        ["python3", "-B", "-c", code],
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        user="10001:10001",
        mem_limit="4g",
        pids_limit=512,
        tmpfs={"/tmp": "size=256m"},
    )
    return output.decode().strip()


def test_it_imports_its_frameworks_sealed_off(engine: Any, built: tuple[str, StackImage]) -> None:
    vendor, image = built
    assert guest(engine, image.id, f"{IMPORTS[vendor]}; print('ok')") == "ok"


def test_it_holds_what_its_lock_names_and_nothing_else(
    engine: Any, built: tuple[str, StackImage]
) -> None:
    vendor, image = built
    listed = guest(
        engine,
        image.id,
        "import importlib.metadata as m, re\n"
        "names = [(d.name, d.version) for d in m.distributions() if '/opt/stack' in str(d._path)]\n"
        "print(*sorted(re.sub('[-_.]+', '-', n).lower() + '==' + v for n, v in names))",
    )
    pins = parse_lock(STACKS[vendor].folder / "requirements.lock")
    assert listed.split() == sorted(f"{pin.name}=={pin.version}" for pin in pins)


def test_its_labels_name_every_wheel_by_a_hash_of_the_lock(built: tuple[str, StackImage]) -> None:
    vendor, image = built
    pins = parse_lock(STACKS[vendor].folder / "requirements.lock")
    allowed = frozenset().union(*(pin.hashes for pin in pins))
    wheels = json.loads(image.labels["assay.wheels"])
    assert len(wheels) == len(pins)
    assert set(wheels.values()) <= allowed
    assert image.labels["assay.base-id"].startswith("sha256:")


def test_its_user_is_nobody_in_particular(engine: Any, built: tuple[str, StackImage]) -> None:
    config = engine.api.inspect_image(built[1].id)["Config"]
    assert config["User"] == "10001:10001"
    assert guest(engine, built[1].id, "import getpass; print(getpass.getuser())") == "assay"


def test_it_carries_nothing_of_the_host(engine: Any, built: tuple[str, StackImage]) -> None:
    known = engine.api.inspect_image(built[1].id)["Config"]
    text = json.dumps([known["Env"], known["Labels"], engine.api.history(built[1].id)])
    for word in (str(Path.home()), str(ROOT), "PIP_", "proxy", "password", "TOKEN"):
        assert word not in text


def test_its_byte_code_is_there_and_needs_no_check(
    engine: Any, built: tuple[str, StackImage]
) -> None:
    flags = guest(
        engine,
        built[1].id,
        "import numpy; print(open(numpy.__cached__, 'rb').read(8)[4:].hex())",
    )
    assert flags == "01000000"


UNCOMPILED = """
import os, sys
import importlib.util as u
sources = [m.__file__ for m in list(sys.modules.values()) if str(getattr(m, "__file__", "")).endswith(".py")]
mine = [p for p in sources if p.startswith("/opt/stack") and "/transformers/models/" not in p]
bare = [path for path in mine if not os.path.exists(u.cache_from_source(path))]
print(sum(map(os.path.getsize, bare)) / sum(map(os.path.getsize, mine)), *bare)
"""


def test_what_a_stage_imports_is_compiled(engine: Any, built: tuple[str, StackImage]) -> None:
    """Else every start compiles it. Of 700 architectures a case uses one, which a stage does compile."""
    vendor, image = built
    networks = (
        "from transformers import CLIPModel, SamModel, ViTForImageClassification as _\n"
        "from diffusers import AutoencoderKL, UNet2DConditionModel"
    )
    share, *bare = guest(engine, image.id, f"{IMPORTS[vendor]}\n{networks}\n{UNCOMPILED}").split()
    assert float(share) < 0.01, bare


def test_the_images_have_their_common_packages_in_one_layer(engine: Any, tmp_path: Path) -> None:
    """It takes most of each image, and the engine stores it once."""
    images = [builder(engine, tmp_path).find(stack) for stack in STACKS.values()]
    if None in images:
        pytest.skip("an image is not there: make images")
    layers = [engine.api.inspect_image(image.id)["RootFS"]["Layers"] for image in images if image]
    bases = {image.labels["assay.base-id"] for image in images if image}
    if len(bases) > 1:
        pytest.skip("the images are on different bases")
    # Behind the common one: what only this stack has, its user, its working directory.
    assert len({tuple(one[:-3]) for one in layers}) == 1, layers
    assert len(layers[0][:-3]) > 1


def test_it_is_no_larger_than_it_has_to_be(engine: Any, built: tuple[str, StackImage]) -> None:
    assert engine.api.inspect_image(built[1].id)["Size"] < SIZE_LIMIT_BYTES


def test_finding_it_again_builds_nothing(
    engine: Any, built: tuple[str, StackImage], tmp_path: Path
) -> None:
    found = builder(engine, tmp_path).ensure(STACKS[built[0]])
    assert (found.id, found.built) == (built[1].id, False)


@pytest.fixture
def tiny(tmp_path: Path, shell_image: str, engine: Any) -> Iterator[Stack]:
    """Return a stack without Python packages on an image that is there; its images are removed."""
    folder = tmp_path / "images" / "tiny" / "tiny1"
    folder.mkdir(parents=True)
    manifest = StackManifest.model_validate(
        {
            "schema": "assay/stack/1",
            "vendor": "tiny",
            "name": f"t{tmp_path.parent.name}.{tmp_path.name}".lower().replace("_", "-")[:60],
            "python": "3.11",
            "base": {"image": shell_image},
            "versions": {},
        }
    )
    yield Stack(manifest=manifest, folder=folder)
    for image in engine.images.list(filters={"label": f"assay.stack={manifest.name}"}):
        engine.images.remove(image.id, force=True)


TWO_STAGES = """ARG BASE
FROM ${BASE} AS builder
ARG KEY=by-hand
LABEL assay.builder=${KEY}
USER 0
RUN mkdir /made && echo content > /made/file
FROM ${BASE}
COPY --from=builder /made /made
"""


def test_a_build_reaches_no_network(engine: Any, tiny: Stack, tmp_path: Path) -> None:
    # Only the loopback interface is there: no name, no route, no bridge to the host.
    (tiny.folder / "Dockerfile").write_text(
        'ARG BASE\nFROM ${BASE}\nRUN [ "$(ls /sys/class/net)" = lo ] && ! grep -q . /proc/net/route'
        ' || [ "$(wc -l < /proc/net/route)" = 1 ]\n',
        encoding="utf-8",
    )
    assert builder(engine, tmp_path / "home").ensure(tiny).built


def test_a_build_leaves_no_first_stage_behind(engine: Any, tiny: Stack, tmp_path: Path) -> None:
    (tiny.folder / "Dockerfile").write_text(TWO_STAGES, encoding="utf-8")
    image = builder(engine, tmp_path / "home").ensure(tiny)
    key = image.labels["assay.key"]
    assert image.built
    assert engine.api.images(filters={"label": f"assay.builder={key}"}) == []
    again = builder(engine, tmp_path / "home").ensure(tiny)
    assert (again.id, again.built) == (image.id, False)


def test_a_first_stage_that_was_built_ahead_is_that_of_the_image(
    engine: Any, tiny: Stack, tmp_path: Path
) -> None:
    by_chance = TWO_STAGES.replace("echo content", "cat /proc/sys/kernel/random/uuid")
    (tiny.folder / "Dockerfile").write_text(by_chance, encoding="utf-8")
    build = builder(engine, tmp_path / "home")
    base = find_base(engine.api, tiny.manifest, None)
    assert base is not None
    build.build_ahead(tiny, base)
    key = Recipe.of(tiny, base, {}).key
    ahead = engine.api.images(filters={"label": f"assay.builder={key}", "dangling": True})
    made = {made_in(engine, image["Id"]) for image in ahead}
    assert made == {made_in(engine, build.ensure(tiny).id)}
    assert engine.api.images(filters={"label": f"assay.builder={key}"}) == []


def made_in(engine: Any, image: str) -> str:
    """Return what the first stage has made."""
    output: bytes = engine.containers.run(
        image, ["cat", "/made/file"], remove=True, network_mode="none"
    )
    return output.decode()


def test_a_build_that_fails_tells_the_last_lines_and_leaves_no_image(
    engine: Any, tiny: Stack, tmp_path: Path
) -> None:
    (tiny.folder / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE}\nRUN echo the compiler is missing >&2; exit 9\n", encoding="utf-8"
    )
    with pytest.raises(ImageFault, match="the compiler is missing") as caught:
        builder(engine, tmp_path / "home").ensure(tiny)
    assert "returned a non-zero code: 9" in caught.value.message
    assert builder(engine, tmp_path).find(tiny) is None


def test_an_engine_that_has_no_such_image_says_so_with_none(engine: Any) -> None:
    assert inspect(engine.api, "assay/nobody:made-this") is None
