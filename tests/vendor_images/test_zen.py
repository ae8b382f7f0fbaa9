"""The image of amd/zen from an empty engine: nothing of it is a stand-in, so its figures are measured."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.plan.processor import misfit
from driver.system.host.processor import read_identity
from driver.system.settings import ROOT
from tests.vendor_images.conftest import lacking

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.vendors


def assay(*words: str, out: Path) -> str:
    """Type a command of the documents; return what it printed."""
    done = subprocess.run(
        [ROOT / "driver" / "assay", *words],
        env={**os.environ, "OUT": str(out)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.usefixtures("engine")
def test_zentorch_runs_for_real_in_its_container(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        lacking("debootstrap needs root")
    assay("images", "--vendor", "amd", "--base", "debootstrap", out=tmp_path)
    if misfit(load_catalog(ROOT).vendor("amd"), read_identity()) is not None:
        pytest.skip("this processor is not AMD's: the image is built, and nothing runs in it")
    words = ("run", "--vendor", "amd", "--runner", "docker", "--format", "json")
    result: dict[str, Any] = json.loads(assay(*words, out=tmp_path))
    assert (result["status"], result["simulated"]) == ("ok", False)
    assert result["provenance"]["isolation"]["infer"]["network"] == "none"
    effective = result["provenance"]["effective"]["infer"]
    assert any(name.startswith("zentorch::") for name in effective["operators"])
    assert effective["cxx"].startswith("g++")
