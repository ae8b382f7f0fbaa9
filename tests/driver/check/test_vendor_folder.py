"""A vendor's folder: every name in vendor.toml exists, every file exists, locks are current."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.check.marks import find_marks
from driver.check.vendor import check_vendor
from driver.doctor.finding import failures
from driver.errors import UsageFault
from driver.stacks.locks import source_sha256
from tests.driver.check.test_dockerfile import GOOD
from tests.driver.miniature import VENDOR, make_tree, write_executable

if TYPE_CHECKING:
    from pathlib import Path

    from driver.doctor.finding import Finding

HOOK = '#!/bin/sh\nPYTHONPATH="$2" exec python3 -B -m harness "$1" "$2"\n'
ENGINE = "class E:\n    pass\n\n\nENGINE = E\n"


class Folder:
    """A complete vendor in a miniature tree, and the findings about it."""

    def __init__(self, root: Path) -> None:
        self.root = make_tree(root)
        self.hook = root / "vendor_hooks/acme"
        self.toml = self.hook / "vendor.toml"
        self.stack = root / "images/acme/v1"
        self.toml.write_text(VENDOR.replace('title = "Acme"', 'title = "Acme"\nlicence = "MIT"'))
        self.change(self.toml, "[chips.One]", '[chips.One]\npeaks_source = "datasheet, page 2"')
        (self.hook / "README.md").write_text("Acme's chips.\n")
        write_executable(self.hook / "hook", HOOK)
        for name in ("turbo", "eager", "fixed"):
            path = self.hook / "engines" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(ENGINE)
        for folder in (self.stack, root / "images/acme/image-only"):
            self.change(folder / "stack.toml", "versions = {}", 'versions = { sdk = "1" }')
            (folder / "Dockerfile").write_text(GOOD.replace("acme.example/sdk:1", "none"))
            self.lock(folder)

    def lock(self, folder: Path) -> None:
        requirements = folder / "requirements.in"
        requirements.write_text("sdk==1\n")
        header = (
            f"# Made by `make lock` from x (sha256 {source_sha256(requirements)}); do not edit."
        )
        pin = f"sdk==1 --hash=sha256:{'0' * 64}"
        (folder / "requirements.lock").write_text(f"{header}\n{pin}\n")

    def change(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def check(self) -> list[Finding]:
        return check_vendor(load_catalog(self.root).vendor("acme"))

    def wrong(self) -> list[str]:
        return [f"{one.what}: {one.found}" for one in failures(self.check())]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_complete_folder_passes(folder: Folder) -> None:
    assert folder.wrong() == []


def test_every_missing_part_has_a_remedy(folder: Folder) -> None:
    (folder.hook / "README.md").unlink()
    (folder.stack / "Dockerfile").unlink()
    (folder.hook / "hook").unlink()
    missing = failures(folder.check())
    assert len(missing) == 3
    assert all(one.remedy for one in missing)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('default_stack = "v1"', 'default_stack = "v2"', "default_stack: 'v2' does not exist (did"),
        ('default_engine = "turbo"', 'default_engine = "trubo"', "did you mean turbo"),
        ('default_chip = "One"', 'default_chip = "Two"', "default_chip: 'Two' does not exist"),
        ('validate_engine = "eager"', 'validate_engine = "egaer"', "did you mean eager"),
        ('stacks = ["v1", "image-only"]', 'stacks = ["v1", "v9"]', "engines.fixed.stacks: 'v9'"),
        ('stacks = ["v1", "image-only"]', "stacks = []", "engines.fixed.stacks: it is empty"),
        ('peaks_source = "datasheet, page 2"', 'peaks_source = " "', "its peaks have no source"),
        (
            'peaks_source = "datasheet, page 2"',
            'peaks_source = "datasheet, page 2"\nmemory_bandwidth = 320e9',
            "its memory bandwidth has no source",
        ),
        ('licence = "MIT"', 'licence = ""', "licence: vendor.toml names none"),
        (
            "[engines.fixed]",
            '[drivers.v7]\nminimum = "1"\n[engines.fixed]',
            "drivers.v7: 'v7' does not exist",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_found(folder: Folder, old: str, new: str, said: str) -> None:
    folder.change(folder.toml, old, new)
    assert any(said in line for line in folder.wrong()), folder.wrong()


def test_a_default_precision_must_be_one_of_the_engine(folder: Folder) -> None:
    text = folder.toml.read_text().replace(
        'default_precision = "fp32"', 'default_precision = "x"', 1
    )
    folder.toml.write_text(text)
    assert any("engines.turbo.default_precision: 'x'" in line for line in folder.wrong())


def test_a_precisions_stacks_must_be_the_engines(folder: Folder) -> None:
    folder.change(
        folder.toml,
        'fp16 = { arithmetic = "fp16" }',
        'fp16 = { arithmetic = "fp16", stacks = ["v2"] }',
    )
    said = "engines.turbo.precisions.fp16.stacks: 'v2' does not exist (did you mean v1?)"
    assert any(said in line for line in folder.wrong()), folder.wrong()


def test_all_stacks_must_have_the_default_precision(folder: Folder) -> None:
    folder.change(
        folder.toml,
        'precisions = { fp32 = { arithmetic = "fp32" } }\nexport',
        'precisions = { fp32 = { arithmetic = "fp32", stacks = ["v1"] } }\nexport',
    )
    said = "engines.fixed.default_precision: image-only of the engine's stacks lacks fp32"
    assert any(said in line for line in folder.wrong()), folder.wrong()


def test_the_validating_engine_must_be_in_the_same_stacks(folder: Folder) -> None:
    folder.change(folder.toml, "[engines.fixed]\n", '[engines.fixed]\nvalidate_engine = "eager"\n')
    assert any("'eager' is not in image-only" in line for line in folder.wrong())


def test_a_chip_without_a_peak_is_only_a_note(folder: Folder) -> None:
    found = [one.found for one in folder.check() if one.what == "chip One"]
    assert found == ['no peak for fp32: the MFU of these will be "/"']


def test_no_peak_is_required_for_arithmetic_that_the_chip_lacks(folder: Folder) -> None:
    folder.change(folder.toml, "[chips.One]", '[chips.One]\nlacks = { fp32 = "no such unit" }')
    assert [one for one in folder.check() if "no peak" in one.found] == []


@pytest.mark.parametrize("key", ["peaks", "published_peaks"])
def test_a_peak_in_teraflops_is_refused_with_the_expected_unit(folder: Folder, key: str) -> None:
    text = folder.toml.read_text()
    folder.toml.write_text(re.sub(rf"(?m)^{key} = .*$", f"{key} = {{ fp16 = 4.0 }}", text))
    with pytest.raises(UsageFault) as caught:
        folder.check()
    assert f"chips.One.{key}.fp16" in caught.value.message
    assert "operations per second, for example 4.0e12" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "v1"', 'name = "v3"', "stack.toml: name = 'v3'"),
        ('vendor = "acme"', 'vendor = "other"', "vendor = 'other'"),
        ('sdk = "1"', 'sdk = "2"', "stack.toml has 2, but requirements.lock has 1"),
        ('versions = { sdk = "1" }', "versions = {}", "[versions] is empty"),
    ],
)
def test_a_stack_that_contradicts_itself_is_found(
    folder: Folder, old: str, new: str, said: str
) -> None:
    folder.change(folder.stack / "stack.toml", old, new)
    assert any(said in line for line in folder.wrong()), folder.wrong()


def test_an_outdated_lock_is_found(folder: Folder) -> None:
    (folder.stack / "requirements.in").write_text("sdk==2\n")
    assert any("requirements.in changed after it was made" in line for line in folder.wrong())


def test_a_lock_without_hashes_is_found(folder: Folder) -> None:
    folder.change(folder.stack / "requirements.lock", f" --hash=sha256:{'0' * 64}", "")
    assert any("requirements.lock" in line for line in folder.wrong())


def test_a_missing_lock_is_found(folder: Folder) -> None:
    (folder.stack / "requirements.lock").unlink()
    assert any("requirements.lock: it is missing" in line for line in folder.wrong())


def test_an_unpinned_base_is_a_note_with_the_command_to_pin_it(folder: Folder) -> None:
    found = next(one for one in folder.check() if one.what == "stack v1: base image")
    assert (found.status, "unpinned" in found.found) == ("note", True)
    assert "make pin" in found.remedy


@pytest.mark.parametrize(
    ("licence", "sha256", "status"),
    [("", None, "failed"), ("theirs", None, "note"), ("theirs", "a" * 64, "ok")],
)
def test_an_installer_needs_a_licence_and_should_have_a_sha256(
    folder: Folder, licence: str, sha256: str | None, status: str
) -> None:
    digest = f'sha256 = "{sha256}"\n' if sha256 else ""
    text = folder.stack / "stack.toml"
    text.write_text(
        text.read_text()
        + f'[[installers]]\nfile = "a.run"\nsource = "acme"\nlicence = "{licence}"\n{digest}'
    )
    (found,) = (one for one in folder.check() if one.what.endswith("installer a.run"))
    assert found.status == status
    if status == "note":
        assert "unpinned" in found.found
        assert "make pin" in found.remedy
        assert "INSTALLERS=" in found.remedy


def test_a_hook_that_is_not_executable_is_found(folder: Folder) -> None:
    (folder.hook / "hook").chmod(0o644)
    assert folder.wrong() == ["hook: it is not executable"]


def test_a_hook_without_an_interpreter_is_found(folder: Folder) -> None:
    write_executable(folder.hook / "hook", "python3 -m harness\n")
    assert folder.wrong() == ["hook: its first line names no interpreter"]


def test_an_engine_without_a_file_or_without_its_export_is_found(folder: Folder) -> None:
    (folder.hook / "engines/turbo.py").unlink()
    (folder.hook / "engines/eager.py").write_text("class E:\n    pass\n")
    assert folder.wrong() == [
        "engine turbo: turbo.py is not in engines/",
        "engine eager: eager.py does not define ENGINE",
    ]


def test_a_hook_in_another_language_needs_no_engine_files(folder: Folder) -> None:
    write_executable(folder.hook / "hook", "#!/opt/acme/bench\n")
    for path in (folder.hook / "engines").iterdir():
        path.unlink()
    assert folder.wrong() == []


def test_code_must_run_on_the_oldest_python_of_the_vendors_stacks(folder: Folder) -> None:
    (folder.hook / "engines/turbo.py").write_text(f"n = [m for k in 'a' if (m := k)]\n{ENGINE}")
    assert folder.wrong() == []
    folder.change(folder.root / "images/acme/image-only/stack.toml", '"3.11"', '"3.7.5"')
    assert any("does not parse under Python 3.7" in line for line in folder.wrong())


def test_marks_are_listed_with_file_and_line(folder: Folder) -> None:
    (folder.hook / "README.md").write_text("One.\n<<what is special about your chip>>\n")
    (folder.stack / "stack.toml").write_text(
        (folder.stack / "stack.toml").read_text() + "# <<the SDK's version>>\n"
    )
    places = [(path.name, line, mark) for path, line, mark in find_marks(folder.hook)]
    assert places == [("README.md", 2, "what is special about your chip")]
    assert len([line for line in folder.wrong() if line.startswith("to fill in")]) == 2


def test_binary_files_have_no_marks(folder: Folder) -> None:
    (folder.hook / "tool").write_bytes(b"<<not a mark>>\xff\xfe")
    assert folder.wrong() == []


def test_a_monitor_in_the_vendors_folder_must_be_executable(
    folder: Folder,
) -> None:
    folder.toml.write_text(
        folder.toml.read_text() + '[monitor]\nparser = "json"\ncommand = ["./acme-smi", "-q"]\n'
    )
    assert folder.wrong() == ["monitor: acme-smi: it is missing or not executable"]
    write_executable(folder.hook / "acme-smi", "#!/bin/sh\n")
    assert folder.wrong() == []
    monitor = load_catalog(folder.root).vendors["acme"].manifest.monitor
    assert monitor.command == (str(folder.hook / "acme-smi"), "-q")


def test_a_parser_of_documents_needs_a_command(folder: Folder) -> None:
    folder.toml.write_text(folder.toml.read_text() + '[monitor]\nparser = "json"\n')
    with pytest.raises(UsageFault, match="needs a command"):
        folder.check()
