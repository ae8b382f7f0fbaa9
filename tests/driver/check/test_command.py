"""The `check` command, for people and for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.driver.doctor.test_probe import private_vendor
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_parts_give_exit_code_1_and_a_list_of_remedies(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay("check", "--vendor", "acme", "--runner", "none", VENDOR_PATH=str(vendor))
    assert done.returncode == 1
    missing = done.stderr.partition("missing or wrong, and how to fix it:")[2]
    assert "✗ README.md: it is missing" in missing
    assert "✗ engine turbo: turbo.py is not in engines/" not in missing, (
        "its hook does not use the harness"
    )
    assert missing.count("✗") == missing.count("→")


def test_json_has_every_finding_and_nothing_else_is_printed(tmp_path: Path) -> None:
    vendor = private_vendor(tmp_path / "acme")
    done = assay(
        *("check", "--vendor", "acme", "--runner", "none", "--format", "json"),
        VENDOR_PATH=str(vendor),
    )
    document = json.loads(done.stdout)
    assert (document["schema"], document["vendor"], document["ok"]) == (
        "assay/check/1",
        "acme",
        False,
    )
    failed = [one for one in document["checks"] if one["status"] == "failed"]
    assert failed
    assert all(one["remedy"] for one in failed)


def test_our_own_case_passes_without_a_trial() -> None:
    done = assay("check", "--case", "digits", "--runner", "none")
    assert done.returncode == 0, done.stderr
    assert "no check failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vendor", "cpus"], "did you mean cpu?"),
        (["--case", "digit"], "did you mean digits?"),
        (["--vendor", "cpu", "--case", "digits"], "give VENDOR or CASE, not both"),
        (["--vendor", "cpu", "--runner", "slurm"], "unknown runner of a check 'slurm'"),
        (["--case", "digits", "--runner", "slurm"], "unknown runner of a check 'slurm'"),
    ],
)
def test_wrong_usage_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = assay("check", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
