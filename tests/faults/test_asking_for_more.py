"""What a hook asks for beyond vendor.toml is refused: by the container, and clearly, in the result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.runners.engine.client import connect
from driver.stacks.image import ImageBuilder
from driver.system.settings import ROOT, load_settings

HERE = Path(__file__).parent
STACK = "ort1.31-torch2.13"

pytestmark = pytest.mark.container


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    """Skip, or fail where ASSAY_REQUIRE_CONTAINERS is set, without the images that the hooks run in."""
    reason = missing_image()
    if reason and os.environ.get("ASSAY_REQUIRE_CONTAINERS"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def missing_image() -> str:
    settings = load_settings()
    catalog = load_catalog(ROOT)
    try:
        client = connect()
    except EnvironmentFault as error:
        return error.message
    build = ImageBuilder(
        api=client.api,
        home=settings.home,
        torch_index=settings.torch_index,
        on_progress=lambda _text: None,
    )
    wanted = (catalog.reference, catalog.vendors["cpu"].stacks[STACK])
    absent = [f"{stack.vendor}/{stack.name}" for stack in wanted if build.find(stack) is None]
    client.close()
    return f"no image of {', '.join(absent)}: make images VENDOR=cpu" if absent else ""


def run(tmp_path: Path, hook: str) -> tuple[int, dict[str, Any]]:
    """Run vit_digits on a fault hook in containers; (exit code, result.json)."""
    tmp_path.chmod(0o755)
    vendor = Path(shutil.copytree(HERE / "hooks" / hook, tmp_path / "faults"))
    shutil.copy(HERE / "vendor.toml", vendor)
    # The cpu vendor's stack as it is, so that its image is the one that is there already.
    shutil.copytree(ROOT / "images" / "cpu" / STACK, vendor / "images" / STACK)
    words = "run --case vit_digits --vendor faults --runner docker --limit 4 --format json"
    done = subprocess.run(
        [str(ROOT / "driver" / "assay"), *words.split()],
        env=os.environ | {"VENDOR_PATH": str(vendor), "OUT": str(tmp_path / "results")},
        capture_output=True,
        text=True,
        check=False,
    )
    found = list((tmp_path / "results").rglob("result.json"))
    assert len(found) == 1, done.stderr
    return done.returncode, json.loads(found[0].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("hook", "said", "remedy"),
    [
        ("asks-for-a-device", "tried to open /dev/assay-not-granted7", "[devices] in vendor.toml"),
        (
            "asks-for-the-network",
            "tried to use the network, which a stage does not have",
            "[[installers]]",
        ),
        ("writes-elsewhere", "/usr/assay-was-here", "only to cache_dir, out_dir and TMPDIR"),
    ],
)
def test_what_was_not_granted_is_refused_and_attributed_to_the_hook(
    tmp_path: Path, hook: str, said: str, remedy: str
) -> None:
    code, result = run(tmp_path, hook)
    failure = result["failure"]
    assert (failure["kind"], failure["stage"]) == ("contract", "infer")
    assert said in failure["message"]
    assert remedy in failure["remedy"]
    assert code == 5
    isolation = result["provenance"]["isolation"]["infer"]
    assert (isolation["network"], isolation["devices"], isolation["host_mounts"]) == (
        "none",
        [],
        {},
    )
