"""One cluster for all tests of a process, and a lab of its own for each of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.fleet.cluster import missing, running_cluster
from tests.fleet.planted_lab import FleetLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fleet.cluster import Cluster


@pytest.fixture(scope="session")
def daemons() -> Iterator[Cluster]:
    """Return a running cluster of two nodes; without Slurm skip, or fail where it is required."""
    if lacking := missing():
        text = f"this machine lacks {', '.join(lacking)}"
        if os.environ.get("ASSAY_REQUIRE_SLURM"):
            pytest.fail(text)
        pytest.skip(text)
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(daemons: Cluster) -> Iterator[Cluster]:
    """Return the cluster with nothing in its queue and both nodes idle, also after a test that broke it."""
    daemons.restore()
    yield daemons
    daemons.call("scancel", "--me")


@pytest.fixture
def lab(tmp_path: Path, cluster: Cluster) -> FleetLab:
    """Return a planted lab."""
    lab = FleetLab(tmp_path, cluster)
    lab.plant()
    return lab
