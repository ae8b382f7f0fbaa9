"""The commands of CONTRIBUTING's walk-through work as printed, one after the other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.case import check_case
from driver.check.vendor import check_vendor
from driver.doctor.finding import failures
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.settings import load_settings
from tests.short_run import short_run

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests/examples/acme"
CASE_EXAMPLE = ROOT / "tests/examples/resnet_18"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACE = "MINE=~/chips\n"
CASE_PLACE = "MINE=~/models\n"
OUTSIDE = ("VENDOR_PATH", "CASE_PATH", "ASSAY_TYPED")


def commands(title: str = "## Add a vendor in an hour") -> str:
    """Return the shell blocks of a walk-through as one script."""
    section = TEXT.split(f"\n{title}\n")[1].split("\n## ")[0]
    return "".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE))


def follow(script: str, mine: Path) -> subprocess.CompletedProcess[str]:
    """Run a script from the tree's root, with the test's folder put in for the reader's."""
    assert PLACE in script or CASE_PLACE in script
    filled = script.replace(PLACE, f"MINE={mine}\n").replace(CASE_PLACE, f"MINE={mine}\n")
    clean = {key: value for key, value in os.environ.items() if key not in OUTSIDE}
    return subprocess.run(
        ["sh", "-ec", filled],
        cwd=ROOT,
        env=clean | {"OUT": str(mine / "results")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_is_whole() -> None:
    vendor = load_catalog(ROOT, [EXAMPLE]).vendors["acme"]
    assert [f"{one.what}: {one.found}" for one in failures(check_vendor(vendor))] == []


def test_the_new_folder_lists_its_marks_until_they_are_filled_in(tmp_path: Path) -> None:
    before, copying, _ = commands().partition("cp -r")
    assert copying
    done = follow(before, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to fill in: vendor.toml" in done.stderr
    assert "checks failed" in done.stderr


@pytest.mark.stack
def test_every_command_of_the_walk_through_works(tmp_path: Path) -> None:
    if not Wheelhouse(load_settings().home).folder.is_dir():
        pytest.skip("there is no wheelhouse: make wheelhouse")
    done = follow(commands(), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no check failed" in done.stderr
    assert "contract of acme in process" in done.stdout
    (path,) = tmp_path.glob("results/vit_digits/acme/sdk1-acme-fp32-bs*/*/result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["job"]["chip"] == "host"
    monitor = result["monitor"]["infer-0"]
    assert monitor["failures"] == []
    assert monitor["samples"][0]["devices"][0]["name"] == "Acme Host"


@pytest.mark.stack
def test_an_engine_that_returns_constants_fails_its_check(tmp_path: Path) -> None:
    if not Wheelhouse(load_settings().home).folder.is_dir():
        pytest.skip("there is no wheelhouse: make wheelhouse")
    vendor = Path(shutil.copytree(EXAMPLE, tmp_path / "acme"))
    engine = vendor / "engines" / "acme.py"
    honest = "return dict(zip(self._names, ticket.result()))"
    code = engine.read_text(encoding="utf-8")
    assert honest in code
    constant = "return {n: a * 0 + 1 for n, a in zip(self._names, ticket.result())}"
    engine.write_text(code.replace(honest, constant), encoding="utf-8")
    check = ("check", "--vendor", "acme", "--runner", "process")
    done = short_run(*check, variables={"VENDOR_PATH": str(vendor)})
    assert done.returncode == 1, done.stderr
    assert "the accuracy gate failed on 10 items: no validation" in done.stderr


def test_the_example_case_is_whole() -> None:
    case = load_catalog(ROOT, case_path=[CASE_EXAMPLE]).case("resnet_18")
    assert [f"{one.what}: {one.found}" for one in failures(check_case(case))] == []


def test_the_new_case_lists_its_marks_and_the_filled_in_one_is_whole(tmp_path: Path) -> None:
    """The commands up to the first that runs the network; the test below runs them all."""
    script = commands("## Add a case")
    before, check, _ = script.partition("\nmake check CASE=resnet_18\n")
    assert check
    done = follow(f"{before}{check.rstrip()} RUNNER=none\n", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to fill in: case.toml" in done.stderr
    assert "no check failed" in done.stderr
    assert not (ROOT / "cases/resnet_18").exists()


@pytest.mark.slow
@pytest.mark.stack
def test_every_command_of_the_walk_through_of_a_case_works(tmp_path: Path) -> None:
    done = follow(commands("## Add a case"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "to fill in: case.toml" in done.stderr
    assert "no check failed" in done.stderr
    (path,) = tmp_path.glob("results/resnet_18/cpu/*/*/result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["status"], result["weights"]) == ("ok", "synthetic")
    assert not (ROOT / "cases/resnet_18").exists()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!#|http)([^)#]+)", TEXT))
def test_every_file_that_the_page_links_to_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_target_that_the_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    words = {name for name in named if name not in targets}
    assert words == set()
