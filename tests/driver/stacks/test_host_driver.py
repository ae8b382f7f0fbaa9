"""The host driver: reading its version, comparing versions, and refusing one that is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.models.base import RunnerName
from driver.models.vendor import DriverRequirement
from driver.stacks.host_driver import ask, found_in, is_at_least, is_enough, remedy, require
from driver.system.settings import ROOT
from tests.driver.miniature import VENDOR, write_executable
from tests.driver.session.test_run import Lab
from tests.waiting import wait_gone

if TYPE_CHECKING:
    from pathlib import Path


def requirement(*command: str, minimum: str = "530.30", **more: object) -> DriverRequirement:
    return DriverRequirement.model_validate(
        {"minimum": minimum, "command": command, "source": "release notes", **more}
    )


def test_the_drivers_version_is_what_its_command_prints() -> None:
    assert ask(requirement("echo", "driver 12.3.4 (r1)")).version == "12.3.4"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((), "names no command"),
        (("acme-smi-that-is-not-here",), "acme-smi-that-is-not-here is not there"),
        (("sh", "-c", "echo cannot talk to 1.2 >&2; exit 9"), "cannot talk to 1.2"),
        (("false",), "false exited with 1 and printed nothing"),
        (("echo", "soon"), "echo printed no version: 'soon'"),
        (("true",), "true printed nothing"),
        (("/dev/null",), "Permission denied"),
    ],
)
def test_a_driver_that_does_not_answer_has_no_version(command: tuple[str, ...], said: str) -> None:
    fact = ask(requirement(*command))
    assert fact.version is None
    assert said in fact.said


def test_an_answer_with_an_exit_code_of_its_own_is_an_answer() -> None:
    """nvidia-smi ends with 14 for a corrupted infoROM, after a good answer."""
    fact = ask(requirement("sh", "-c", "echo 535.161.08; exit 14"))
    assert fact.version == "535.161.08"


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driver.stacks.host_driver.COMMAND_TIMEOUT_S", 0.2)
    assert ask(requirement("sleep", "600")).said == "sleep did not answer in 0.2 s"


def test_what_hangs_in_a_pipeline_is_named_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    tool = write_executable(tmp_path / "xpu_smi", f"#!/bin/sh\necho $$ > {pid_file}\nsleep 600\n")
    for limit_s in (0.5, 5.0, 50.0):  # a busy machine takes longer to start it
        monkeypatch.setattr("driver.stacks.host_driver.COMMAND_TIMEOUT_S", limit_s)
        fact = ask(requirement("sh", "-c", f"{tool} | sed -n p"))
        if pid_file.exists():
            break
    assert fact.said == f"xpu_smi did not answer in {limit_s:g} s"
    assert "install" not in remedy(fact)
    assert f"run `sh -c '{tool} | sed -n p'` by hand" in remedy(fact)
    wait_gone(int(pid_file.read_text()))


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("535.104.05\n535.104.05\n", "535.104.05"),
        ("| npu-smi 22.0.2                   Version: 22.0.2 |", "22.0.2"),
        ("CANN 5.1.RC1", "5.1.RC1"),
        ("no driver", None),
        ("error 7", None),
    ],
)
def test_the_version_is_found_in_what_the_tool_prints(said: str, version: str | None) -> None:
    found = found_in(said)
    assert (None if found is None else found[0]) == version


BANNER = "Acme SMI 1.4.0\nDriver version : 22.0.2 (2023)\n"


def test_the_line_with_the_version_is_reported() -> None:
    fact = ask(requirement("printf", BANNER))
    assert (fact.version, fact.said) == ("1.4.0", "printf printed 'Acme SMI 1.4.0'")
    with pytest.raises(EnvironmentFault, match=r"printf printed 'Acme SMI 1\.4\.0'"):
        require(requirement("printf", BANNER, minimum="2"), "trt8")


def test_a_pattern_finds_the_version() -> None:
    fact = ask(requirement("printf", BANNER, pattern=r"Driver version\s*: (\S+)"))
    assert (fact.version, fact.said) == (
        "22.0.2",
        "printf printed 'Driver version : 22.0.2 (2023)'",
    )
    nothing = ask(requirement("printf", BANNER, pattern="^Firmware (.*)$"))
    assert nothing.version is None
    assert "pattern" in nothing.said


@pytest.mark.parametrize("pattern", ["Driver", "(a)(b)", "(", "(?:a)"])
def test_a_pattern_has_one_group(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"one group|not a valid regular expression"):
        requirement("true", pattern=pattern)


@given(st.lists(st.integers(0, 999), min_size=2, max_size=4), st.integers(0, 2))
def test_a_newer_number_anywhere_is_newer(parts: list[int], place: int) -> None:
    place %= len(parts)
    newer = [*parts[:place], parts[place] + 1, *parts[place + 1 :]]
    text, newer_text = (".".join(map(str, numbers)) for numbers in (parts, newer))
    assert is_at_least(newer_text, text) is True
    assert is_at_least(text, newer_text) is False
    assert is_at_least(text, text) is True


def test_a_release_candidate_is_older_than_its_release() -> None:
    assert is_at_least("5.1.RC1", "5.1.RC2") is False
    assert is_at_least("5.1", "5.1.RC2") is True


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("530.30.02", True),
        ("470.129.06", True),
        ("470.57.01", True),
        ("470.42.01", False),
        ("460.91.03", False),
        ("495.29.05", False),
        ("abc", None),
    ],
)
def test_an_older_branch_accepts_only_its_own_later_releases(
    version: str, enough: bool | None
) -> None:
    wanted = requirement(older_branches=["450.51", "470.57", "525.85"])
    assert is_enough(version, wanted) is enough


@pytest.mark.parametrize(
    "stack",
    ["cuda13-trt10.16", "cuda13-trt11", "cuda13-ort", "cuda13-vllm0.29", "cuda13-trtllm1.2"],
)
def test_cuda_13_runs_on_branch_580_and_later(stack: str) -> None:
    requirement = load_catalog(ROOT).vendors["nvidia"].manifest.drivers[stack]
    assert is_enough("580.95.05", requirement) is True
    assert is_enough("575.57.08", requirement) is False


@pytest.mark.parametrize("stack", ["cuda11.8-trt8.5", "cuda12.1-trt8.6"])
def test_the_driver_of_the_published_runs_is_new_enough(stack: str) -> None:
    nvidia = load_catalog(ROOT).vendors["nvidia"].manifest
    assert is_enough("470.129.06", nvidia.drivers[stack]) is True


def test_a_driver_that_is_known_to_be_too_old_is_refused_with_both_versions() -> None:
    wanted = requirement("echo", "460.91.03", older_branches=["470.57"])
    with pytest.raises(EnvironmentFault) as caught:
        require(wanted, "trt8")
    assert "460.91.03 is older than the stack trt8 needs: 530.30, or 470.57 or later of 470" in (
        caught.value.message
    )
    assert "driver 530.30 or newer (release notes)" in caught.value.remedy


@pytest.mark.parametrize(
    "wanted",
    [
        requirement("echo", "460.1", documented=False),
        requirement("acme-smi-that-is-not-here"),
        requirement("echo", "530.30"),
    ],
    ids=["no document states the minimum", "nothing tells the version", "new enough"],
)
def test_any_other_driver_is_accepted(wanted: DriverRequirement) -> None:
    assert require(wanted, "trt8").requirement == wanted


DRIVERS = '[drivers.v1]\nminimum = "5.0"\ncommand = ["echo", "{}"]\n'


def lab_with_driver(root: Path, version: str) -> Lab:
    lab = Lab(root)
    manifest = lab.root / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(VENDOR + DRIVERS.format(version))
    return lab


def test_a_run_on_an_old_driver_ends_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with_driver(tmp_path, "4.9.1")
    monkeypatch.setattr(lab.installer, "install", lambda _stack: pytest.fail("installed"))
    with pytest.raises(EnvironmentFault, match=r"4\.9\.1 is older than the stack v1 needs: 5\.0"):
        lab.run()


def test_the_driver_as_found_is_in_the_result(tmp_path: Path) -> None:
    result = lab_with_driver(tmp_path, "5.2").run().result
    assert result.provenance["host_driver"] == {"version": "5.2", "minimum": "5.0"}


def test_this_hosts_driver_is_ignored_for_slurm(tmp_path: Path) -> None:
    result = lab_with_driver(tmp_path, "4.9.1").run(runner=RunnerName.SLURM).result
    assert "host_driver" not in result.provenance
