"""`make bench`: what it does not know is refused before an environment is made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "asked", [{"CASE": "reprot"}, {"CASE": "vit_b_32", "VENDOR": "intel"}, {"VENDOR": "nvidia"}]
)
def test_an_unknown_bench_is_none_of_the_others(tmp_path: Path, asked: dict[str, str]) -> None:
    env = os.environ | {"CASE": "", "VENDOR": "", "ASSAY_HOME": str(tmp_path / "home")} | asked
    done = subprocess.run(
        [ROOT / "tests/bench/run"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2, done.stderr
    assert "there is no bench for" in done.stderr
    assert not (tmp_path / "home").exists()
