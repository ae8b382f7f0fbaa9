"""An interpreter of the host that replaces a pinned stack: its contents, and what results record."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.catalog.found_python import FoundPython
from driver.catalog.found_stack import with_found
from driver.errors import UsageFault
from driver.models.base import RunnerName
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.session.run import run_job
from driver.stacks.host_python import catalog_here, find_host_python, lay_out_python
from driver.system.settings import ROOT, load_settings
from tests.driver.miniature import make_tree, write_executable
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Catalog

OWN = Path(sys.executable)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a folder on PYTHONPATH with the packages that every stack needs, as installed by pip."""
    folder = tmp_path / "site of the lab"
    for module, distribution in (
        ("numpy", "numpy-1.2.3.dist-info"),
        ("PIL", "Pillow-9.0-py3.9.egg-info"),
    ):
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text("")
        (folder / distribution).mkdir()
    (folder / "numpy-1.2.3.dist-info" / "RECORD").write_text("numpy/__init__.py,sha256=1,0\n")
    return folder


def caller(packages: Path, **more: str) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), **more}


def find(packages: Path, given: Path = OWN, **more: str) -> FoundPython:
    return find_host_python(
        given, variable="STACK_PYTHON", names=["ACME_HOME"], environ=caller(packages, **more)
    )


def test_its_name_depends_on_its_contents(packages: Path) -> None:
    found = find(packages)
    assert found.version == ".".join(str(part) for part in sys.version_info[:3])
    assert found.packages["numpy"] == "1.2.3"
    assert found.packages["pillow"] == "9.0"
    assert find(packages).stack_name == found.stack_name == f"found-{found.digest[:8]}"
    # The same version with other files: a rebuild.
    (packages / "numpy-1.2.3.dist-info" / "RECORD").write_text("numpy/__init__.py,sha256=2,0\n")
    assert find(packages).stack_name != found.stack_name


def test_a_result_names_variables_and_packages_but_no_path_of_the_host(packages: Path) -> None:
    found = find(packages, ACME_HOME="/opt/acme", SECRET_TOKEN="hunter2")
    assert found.environment["ACME_HOME"] == "/opt/acme"
    assert "SECRET_TOKEN" not in found.environment
    recorded = str(found.provenance("v1"))
    assert "ACME_HOME" in recorded
    assert "/opt/acme" not in recorded
    assert str(packages) not in recorded
    assert str(OWN) not in recorded


def test_an_environments_folder_names_its_interpreter(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_executable(tmp_path / "env/bin/python3", f'#!/bin/sh\nexec {OWN} "$@"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    digests = {find(packages, given).digest for given in (OWN, tmp_path / "env", Path("~/env"))}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "No such file or directory"),
        ("#!/bin/sh\necho no such option >&2\nexit 3\n", "exited with 3: no such option"),
        ("#!/bin/sh\necho hello\n", "is not a Python interpreter"),
        (
            '#!/bin/sh\necho \'{"version": "3.6.15", "implementation": "CPython", '
            '"path": [], "lacks": []}\'\n',
            "is Python 3.6.15, but hooks need 3.7 or newer",
        ),
    ],
)
def test_a_non_interpreter_is_refused_and_names_the_variable(
    packages: Path, tmp_path: Path, program: str | None, said: str
) -> None:
    given = tmp_path / "python"
    if program is not None:
        write_executable(given, program)
    with pytest.raises(UsageFault) as caught:
        find(packages, given)
    assert said in caught.value.message
    assert "STACK_PYTHON" in caught.value.message


def test_missing_packages_are_reported_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("")
    bare = write_executable(tmp_path / "python", f'#!/bin/sh\nexec {OWN} -S "$@"\n')
    with pytest.raises(UsageFault, match="lacks PIL"):
        find(tmp_path, bare)


def test_a_stand_in_sdk_in_it_is_detected(packages: Path) -> None:
    assert not find(packages).stand_in
    (packages / "assay_standin_acme.pth").write_text("")
    assert find(packages).stand_in


def test_a_stand_in_tool_on_path_is_detected(packages: Path) -> None:
    tools = ROOT / "tests" / "standins" / "nvidia" / "bin"
    path = f"{tools}:{os.environ['PATH']}"
    assert find(packages, PATH=path).stand_in


def test_stages_have_it_first_on_path_and_the_callers_packages_last(
    packages: Path, tmp_path: Path
) -> None:
    folder = lay_out_python(find(packages), tmp_path / "home with a blank")
    code = "import os, sys; print(sys.executable); print(os.environ['PYTHONPATH'])"
    done = subprocess.run(
        ["python3", "-c", code],
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": "/job"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(OWN), f"/job:{packages}"]
    assert lay_out_python(find(packages), tmp_path / "home with a blank") == folder


def found_python(**changes: object) -> FoundPython:
    whole = {"python": OWN, "version": "3.12.3", "packages": {}, "digest": "a1b2c3d4e5" * 6}
    return FoundPython(**{**whole, **changes})  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load_catalog(make_tree(tmp_path))


def test_it_replaces_every_stack_of_the_vendor(catalog: Catalog) -> None:
    here = with_found(catalog, stack=found_python(), reference=None)
    # `fixed` has a stack that runs only in its image, unless the host has the SDK itself.
    for engine in ("turbo", "eager", "fixed"):
        choice = choose(Request(case="tiny", vendor="acme", engine=engine), here)
        assert choice.stack.name == "found-a1b2c3d4"
        assert choice.stack.in_place_of == "v1"
        assert choice.runner is RunnerName.PROCESS
    assert here.reference.found is None
    assert catalog.vendor("acme").manifest.default_stack == "v1"


def test_it_has_every_precision_until_its_hook_says_otherwise(tmp_path: Path) -> None:
    manifest = make_tree(tmp_path) / "vendor_hooks/acme/vendor.toml"
    text = manifest.read_text(encoding="utf-8")
    pinned = 'bf16 = { arithmetic = "bf16", stacks = ["image-only"] }'
    fixed = 'fp32 = { arithmetic = "fp32" } }\nexport'
    assert fixed in text
    manifest.write_text(text.replace(fixed, fixed.replace(" }\n", f", {pinned} }}\n")), "utf-8")
    here = with_found(load_catalog(tmp_path), stack=found_python(), reference=None)
    choice = choose(Request(case="tiny", vendor="acme", engine="fixed", precision="bf16"), here)
    assert choice.stack.name == "found-a1b2c3d4"


def test_it_excludes_a_pinned_stack(catalog: Catalog) -> None:
    here = with_found(catalog, stack=found_python(), reference=None)
    with pytest.raises(
        UsageFault, match="STACK=v1 and STACK_PYTHON name two different stacks"
    ) as caught:
        choose(Request(case="tiny", vendor="acme", stack="v1"), here)
    assert "leave STACK out" in caught.value.remedy


@pytest.mark.parametrize("role", ["stack", "reference"])
def test_it_cannot_run_in_a_container(catalog: Catalog, role: str) -> None:
    both = {"stack": None, "reference": None, role: found_python()}
    here = with_found(catalog, **both)
    with pytest.raises(UsageFault, match="no container has them"):
        choose(Request(case="tiny", vendor="acme", runner=RunnerName.DOCKER), here)


def test_the_host_driver_is_reported_but_never_refused() -> None:
    nvidia = with_found(load_catalog(ROOT), stack=found_python(), reference=None).vendor("nvidia")
    needed = nvidia.manifest.drivers["found-a1b2c3d4"]
    assert needed.command[0] == "nvidia-smi"
    assert not needed.documented


def test_settings_and_environment_name_it(packages: Path, tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "assay.local.toml").write_text(f'stack_python = "{OWN}"\n')
    here = catalog_here(load_settings({}, tmp_path), caller(packages))
    assert here.vendor("acme").manifest.default_stack.startswith("found-")
    named = load_settings({"STACK_PYTHON": "/other", "REFERENCE_PYTHON": "/r"}, tmp_path)
    assert (named.stack_python, named.reference_python) == (Path("/other"), Path("/r"))


@pytest.mark.parametrize(
    ("role", "stage", "variable"),
    [("stack", "compile", "STACK_PYTHON"), ("reference", "export", "REFERENCE_PYTHON")],
)
def test_the_remedy_for_a_missing_package_is_to_install_it_there(
    tmp_path: Path, role: str, stage: str, variable: str
) -> None:
    lab = Lab(tmp_path)
    lab.behave("acme" if role == "stack" else "reference", **{stage: "lacks-a-module"})
    both = {"stack": None, "reference": None, role: found_python()}
    site = replace(lab.site(), catalog=with_found(lab.site().catalog, **both))
    result = run_job(site, choose(lab.request, site.catalog)).result
    assert result.failure is not None
    assert result.failure.remedy.startswith(f"install it for {OWN}")
    assert variable in result.failure.remedy


def test_the_shell_entrys_own_path_is_none_of_the_stacks(packages: Path) -> None:
    """driver/assay sets PYTHONPATH to the tree, whose packages no stage may import."""
    given = caller(packages, PYTHONPATH="/the/tree", ASSAY_CALLERS_PYTHONPATH=str(packages))
    found = find_host_python(OWN, variable="STACK_PYTHON", environ=given)
    assert found.environment["PYTHONPATH"] == str(packages)
    assert "numpy" in found.packages


def test_a_caller_without_a_path_gives_none() -> None:
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": "/t", "ASSAY_CALLERS_PYTHONPATH": ""}
    found = find_host_python(OWN, variable="STACK_PYTHON", environ=given)
    assert "PYTHONPATH" not in found.environment


def test_quotes_in_the_callers_environment_are_not_executed(tmp_path: Path) -> None:
    odd = "/a b/$(touch boom)'\""
    found = found_python(environment={"PYTHONPATH": odd})
    folder = lay_out_python(found, tmp_path)
    line = (folder / "bin" / "python3").read_text().splitlines()[1]
    assert line.endswith(shlex.quote(odd))
    code = "import os; print(os.environ['PYTHONPATH'])"
    done = subprocess.run(
        [folder / "bin" / "python3", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith(odd)
    assert not (tmp_path / "boom").exists()
