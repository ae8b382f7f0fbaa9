"""Sweeps whose stages run in containers on their nodes: Docker's, and Apptainer's by its stand-in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.runners.engine.archives import write_images
from driver.runners.engine.client import connect, engine_errors
from tests.apptainer import PYTHON, install, lacking, save_image, write_layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fleet.planted_lab import FleetLab

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a layer with this machine's Python; skips where Debian's is missing."""
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is missing: apt-get install python3")
    return write_layer(tmp_path_factory.mktemp("layer") / "layer.tar", python=True)


@pytest.fixture
def reachable(tmp_path: Path) -> None:
    """Let the guests of a caller who is root, who are other users, reach the lab."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)


@pytest.fixture
def docker(lab: FleetLab, layer: Path, reachable: None) -> Iterator[FleetLab]:
    """Return the lab with its images in this machine's Docker, and remove them afterwards."""
    try:
        client: Any = connect()
    except EnvironmentFault as error:
        pytest.skip(error.message)
    archive = lab.folder / "images.tar"
    ids = save_image(archive, [layer], *lab.contain("docker"))
    try:
        write_images(client, [archive.read_bytes()])
        yield lab
    finally:
        for one in ids:
            with suppress(*engine_errors()):
                client.images.remove(one, force=True)
        client.close()


@pytest.fixture
def apptainer(lab: FleetLab, layer: Path, reachable: None) -> FleetLab:
    """Return the lab with its images as files and the stand-in on PATH."""
    if reason := lacking():
        pytest.skip(reason)
    save_image(lab.folder / "home" / "images" / "lab.tar", [layer], *lab.contain("apptainer"))
    install(lab.folder / "bin", lab.folder / "rootfs")
    return lab


def isolations(document: Any) -> dict[str, Any]:
    """Return what held each stage that ran, by its name."""
    found: dict[str, Any] = document["provenance"]["isolation"]
    assert {"validate", "infer", "score"} <= found.keys()
    return found


def test_docker_runs_the_stages_on_the_nodes(docker: FleetLab) -> None:
    done = docker.sweep("--precision", "fp32,fp16")
    assert done.returncode == 0, done.stderr
    documents: list[Any] = docker.documents()
    assert [one["status"] for one in documents] == ["ok", "ok"]
    assert {one["job"]["runner"] for one in documents} == {"docker"}
    for one in documents:
        assert one["provenance"]["slurm"]["node"] in ("node0", "node1")
        for held in isolations(one).values():
            assert (held["container"], held["network"]) == (True, "none")
            assert "not_enforced" not in held


def test_apptainer_runs_the_stages_on_the_nodes(apptainer: FleetLab) -> None:
    done = apptainer.sweep("--precision", "fp32,fp16")
    assert done.returncode == 0, done.stderr
    documents: list[Any] = apptainer.documents()
    assert [one["status"] for one in documents] == ["ok", "ok"]
    assert {one["job"]["runner"] for one in documents} == {"apptainer"}
    for one in documents:
        assert one["provenance"]["vendor_stack"]["sif_made_by"].endswith("standin")
        assert not one["simulated"]
        for held in isolations(one).values():
            assert (held["container"], held["network"]) == (True, "none")
            assert held["engine"].endswith("standin"), "the record says what stood in"
            assert held["not_enforced"]
    # Both nodes, and the export, made each SIF once.
    assert len(list((apptainer.folder / "home" / "sif").glob("*.sif"))) == 2


def test_a_sweep_in_apptainer_without_images_says_what_to_do(apptainer: FleetLab) -> None:
    (apptainer.folder / "home" / "images" / "lab.tar").unlink()
    done = apptainer.sweep()
    assert done.returncode == 3, done.stderr
    assert "no file here has the image of reference/ref" in done.stderr
    assert "docker save" in " ".join(done.stderr.split())
    assert apptainer.documents() == []
