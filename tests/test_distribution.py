"""The installed command: what is in the wheel, what it needs, and what it does far from any checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from driver import __version__
from driver.cli import WITHOUT_CHECKOUT, app
from driver.system.settings import ROOT
from tests import documents
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.environment

SAY_MODULES = """
import sys
from assay import main
code = main()
with open("modules", "w") as file:
    print(*sys.modules, file=file)
sys.exit(code)
"""


def run(*words: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={key: value for key, value in clean.items() if not key.startswith("ASSAY_")} | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def build(tree: Path, folder: Path) -> Path:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=tree)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this tree."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and an empty folder outside any checkout to work in."""

    bin: Path
    folder: Path

    def assay(self, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
        return run(self.bin / "assay", *words, cwd=self.folder, **env)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment's bin folder; what the wheel depends on comes from the tests' own."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    assert made.returncode == 0, made.stderr
    (site,) = venv.glob("lib/*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    done = run(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=venv.parent)
    assert done.returncode == 0, done.stderr
    (site / "tests.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n", encoding="utf-8")
    return venv / "bin"


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    # Beside a folder named `driver`, which must not be taken for ours.
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "__init__.py").write_text("raise SystemExit(99)", encoding="utf-8")
    return Installed(environment, tmp_path)


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of two results of one job."""
    runs = [
        documents.document(
            metrics=documents.metrics(core), started_utc=f"2024-03-01T0{hour}:00:00Z"
        )
        for hour, core in ((6, 1300.0), (7, 1400.0))
    ]
    a, b = (documents.write(tmp_path / name, one) for name, one in zip("ab", runs, strict=True))
    return a, b


def test_the_wheel_has_one_package_and_the_manifests_of_the_tree(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith(f"assay-{__version__}-")
    assert {name.split("/")[0] for name in names} == {"assay", f"assay-{__version__}.dist-info"}
    held = {name.removeprefix("assay/tree/") for name in names if name.startswith("assay/tree/")}
    tracked = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("cases/*/*.toml", "vendor_hooks/*/vendor.toml", "images/*/*/stack.toml")
        for path in ROOT.glob(pattern)
    }
    assert {name for name in held if not name.startswith("driver/")} == tracked
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("driver/**/*.py")}
    templates = {name for name in modules if name.startswith("driver/templates/")}
    assert {name for name in held if name.endswith(".py")} == modules - templates


def test_what_a_running_job_links_to_is_in_the_wheel(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("driver/__init__.py", "distribution/assay/__init__.py", "LICENSE", "README.md"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for name in (".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    vendor, job = tree / "vendor_hooks" / "cpu", tree / ".assay" / "jobs" / "one"
    shutil.copytree(ROOT / "vendor_hooks" / "cpu", vendor)
    job.mkdir(parents=True)
    (job / "vendor").symlink_to(vendor)
    names = zipfile.ZipFile(build(tree, tmp_path / "wheel")).namelist()
    assert "assay/tree/vendor_hooks/cpu/vendor.toml" in names


def test_a_report_of_two_results_is_written_where_it_is_typed(
    installed: Installed, results: tuple[Path, Path]
) -> None:
    done = installed.assay("report", *results)
    assert done.returncode == 0, done.stderr
    assert "1,400" in done.stdout or "1400" in done.stdout
    page = (installed.folder / "results" / "report" / "report.html").read_text(encoding="utf-8")
    assert "echarts" in page


def test_two_results_are_compared(installed: Installed, results: tuple[Path, Path]) -> None:
    a, b = results
    done = installed.assay("compare", "--a", a, "--b", b, "--format", "json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["comparisons"]
    assert found["comparable"] == "yes"
    assert found["ratio"] == pytest.approx(1400 / 1300, rel=0.01)


def test_a_result_is_held_against_what_others_published(
    installed: Installed, results: tuple[Path, Path]
) -> None:
    done = installed.assay("compare", "--a", results[0], "--b", "published", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "assay/comparison/1"


def test_catalog_and_published_tables_are_those_of_the_tree(installed: Installed) -> None:
    listed = installed.assay("list", "--format", "json")
    assert sorted(json.loads(listed.stdout)["cases"]) == sorted(
        path.parent.name for path in ROOT.glob("cases/*/case.toml")
    )
    assert installed.assay("published", "--case", "vit").returncode == 0


def verbs() -> Iterator[str]:
    for info in app.registered_commands:
        name = info.name or str(getattr(info.callback, "__name__", "")).replace("_", "-")
        if name not in WITHOUT_CHECKOUT:
            yield name


@pytest.mark.parametrize("verb", ["run", "doctor", "check"])
def test_a_verb_that_needs_a_checkout_says_so(installed: Installed, verb: str) -> None:
    assert verb in verbs()
    done = installed.assay(verb)
    assert done.returncode == 3
    assert done.stderr.startswith(f"assay: `assay {verb}` needs a checkout")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_it_says_its_version(installed: Installed) -> None:
    assert installed.assay("--version").stdout == f"assay {__version__}\n"


def test_its_settings_are_those_of_the_folder_it_is_typed_in(
    installed: Installed, results: tuple[Path, Path]
) -> None:
    (installed.folder / "assay.local.toml").write_text('results = "mine"\n', encoding="utf-8")
    cache = installed.folder / "cache"
    done = installed.assay("report", *results, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    assert (installed.folder / "mine" / "report" / "report.html").is_file()
    assert list(cache.glob("assay/**/*.arrow"))


@pytest.mark.parametrize("words", [["report", "a"], ["compare", "--a", "a", "--b", "published"]])
def test_it_imports_nothing_that_it_does_not_depend_on(
    environment: Path, installed: Installed, results: tuple[Path, Path], words: list[str]
) -> None:
    done = run(environment / "python", "-c", SAY_MODULES, *words, cwd=installed.folder)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in (installed.folder / "modules").read_text().split()}
    owners = packages_distributions()
    used = {canonicalize_name(owner) for name in loaded for owner in owners.get(name, [])}
    assert used - brought_along() == set()
    assert "pydantic" in used


def declared() -> list[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Requirement(text) for text in document["project"]["dependencies"]]


def brought_along() -> set[str]:
    """Return the distributions that an installation has: those declared, and what they need."""
    reached: set[str] = set()
    todo = [canonicalize_name(one.name) for one in declared()]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            needs = map(Requirement, requires(name) or [])
            todo += [
                canonicalize_name(one.name)
                for one in needs
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return reached


def test_its_dependencies_are_ranges_that_the_locked_versions_are_in() -> None:
    text = (ROOT / "driver" / "requirements.in").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9_-]+)==(\S+)", text, re.MULTILINE))
    for one in declared():
        assert one.specifier.contains(pinned[one.name]), one
        assert all(part.operator != "==" for part in one.specifier), one
