"""A whole job through RUNNER=apptainer, whose stand-in seals it off with bubblewrap, on real images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.runners.engine.client import connect
from driver.system.settings import ROOT
from tests.apptainer import install, lacking, on_path
from tests.engines.conftest import lacking as fail_or_skip

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engines

WANTED = ("assay/cpu", "assay/reference")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an ASSAY_HOME with what `docker save` writes of cpu and reference."""
    if reason := lacking():
        fail_or_skip(reason)
    folder = tmp_path_factory.mktemp("home")
    (folder / "images").mkdir()
    # One archive, as docs/engines.md has it: the layer that both share is in it once.
    archive = folder / "images" / "both.tar"
    subprocess.run(["docker", "save", "-o", str(archive), *newest_images()], check=True)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def newest_images() -> list[str]:
    """Return the newest tag of each image that is needed."""
    try:
        client: Any = connect()
    except EnvironmentFault as error:
        fail_or_skip(error.message)
    images = client.images.list()
    client.close()
    dated = sorted((image.attrs["Created"], tag) for image in images for tag in image.tags)
    found = {tag.partition(":")[0]: tag for _, tag in dated if tag.startswith(WANTED)}
    if set(found) != set(WANTED):
        fail_or_skip("Docker has no images of cpu and reference: make images BASE=debootstrap")
    return list(found.values())


@pytest.fixture
def assay(home: Path) -> Any:
    """Return what runs a verb with the stand-in on PATH."""
    program = install(home / "bin", home / "rootfs")

    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        own = {"PATH": on_path(program), "ASSAY_HOME": str(home), "OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, "-P", "-m", "driver", *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | own | env,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_whole_job_runs_and_its_result_names_what_was_enforced(assay: Any, home: Path) -> None:
    out = home / "out"
    words = ("run", "--case", "vit_digits", "--vendor", "cpu", "--runner", "apptainer")
    done = assay(*words, OUT=str(out))
    assert done.returncode == 0, done.stderr
    [path] = out.rglob("result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["status"] == "ok"
    assert result["job"]["runner"] == "apptainer"
    assert result["metrics"]["p_infer_core"] > 0
    # The figures are a real engine's; what stood in for the container's engine is named beside them.
    assert not result["simulated"]
    isolation = result["provenance"]["isolation"]["infer"]
    assert isolation["engine"] == "Apptainer 1.3.4+assay.standin"
    assert (isolation["container"], isolation["network"]) == (True, "none")
    assert isolation["limited_by"] == {"memory": "driver", "processes": "nobody"}
    assert "tmp_size" in isolation["not_enforced"]
    stack = result["provenance"]["vendor_stack"]
    assert stack["image"].startswith("assay/cpu:")
    assert stack["image_id"].startswith("sha256:")


def test_the_doctor_says_what_is_there_for_apptainer(assay: Any) -> None:
    done = assay("doctor", "--vendor", "cpu")
    assert "Apptainer 1.3.4+assay.standin, for RUNNER=apptainer" in done.stdout
