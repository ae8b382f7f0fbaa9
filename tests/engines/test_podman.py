"""Rootless Podman through Docker's API: what isolates under Docker does so here, and a job gives figures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT

if TYPE_CHECKING:
    from tests.engines.rootless_podman import Rootless

pytestmark = pytest.mark.engines


@pytest.fixture
def home(podman: Rootless, tmp_path: Path) -> Path:
    """Return a folder that belongs to the engine's user."""
    folder = podman.folder / tmp_path.name
    folder.mkdir()
    os.chown(folder, podman.user.pw_uid, podman.user.pw_gid)
    return folder


def test_whatever_isolates_under_docker_isolates_under_podman(podman: Rootless, home: Path) -> None:
    """The very tests of Docker's containers, as the user and with the user's engine."""
    image = next(
        line
        for line in podman.run(
            ["podman", "images", "--format", "{{.Repository}}:{{.Tag}}"]
        ).stdout.split()
        if "/assay/base:" in line
    )
    tests = ("tests/container/test_isolation.py", "tests/container/test_left_files.py")
    done = podman.python(
        ["-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={home}/pytest", "-x", *tests],
        ASSAY_TEST_IMAGE=image,
        ASSAY_HOME=str(home),
        ASSAY_REQUIRE_CONTAINERS="1",
    )
    assert done.returncode == 0, done.stdout[-8000:]


def test_a_whole_job_runs_and_its_result_names_the_engine_and_what_it_enforced(
    podman: Rootless, home: Path
) -> None:
    words = ["run", "--case", "vit_digits", "--vendor", "cpu", "--runner", "docker"]
    done = podman.python(
        ["-P", "-m", "driver", *words], ASSAY_HOME=str(home), OUT=str(home / "out"), OFFLINE="1"
    )
    assert done.returncode == 0, done.stdout
    [path] = (home / "out").rglob("result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["status"] == "ok"
    assert result["metrics"]["p_infer_core"] > 0
    assert path.stat().st_uid == podman.user.pw_uid
    isolation = result["provenance"]["isolation"]["infer"]
    assert isolation["engine"].startswith("Podman ")
    assert (isolation["rootless"], isolation["network"]) == (True, "none")
    assert isolation["limited_by"].keys() == {"memory", "processes"}
    assert result["provenance"]["vendor_stack"]["image"].startswith("assay/cpu:")


def test_the_doctor_says_what_the_engine_cannot_limit(podman: Rootless, home: Path) -> None:
    info = json.loads(podman.run(["podman", "info", "--format", "json"]).stdout)
    controllers = info["host"]["cgroupControllers"] or []
    done = podman.python(["-P", "-m", "driver", "doctor", "--vendor", "cpu"], ASSAY_HOME=str(home))
    assert f"Podman {info['version']['Version']}, rootless" in done.stdout
    assert ("has no cgroup" in done.stdout) is not ({"memory", "pids"} <= set(controllers))


def test_an_image_goes_in_and_out_under_its_own_name(podman: Rootless, home: Path) -> None:
    code = (
        "from driver.runners.engine.archives import read_image, write_images\n"
        "from driver.runners.engine.client import connect\n"
        "client = connect()\n"
        "name = next(tag for image in client.images.list() for tag in image.tags if '/assay/base:' in tag)\n"
        "write_images(client, list(read_image(client, name)))\n"
        "print(client.images.get(name.removeprefix('localhost/')).id)\n"
    )
    done = podman.python(["-c", code], ASSAY_HOME=str(home))
    assert done.stdout.strip().startswith("sha256:"), done.stdout


def test_the_tree_of_these_tests_is_readable_for_the_user(podman: Rootless) -> None:
    assert podman.run(["test", "-r", str(ROOT / "driver" / "cli.py")]).returncode == 0
