"""What a result says of a stage's isolation: what was asked for, and what was not enforced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driver.runners.base import Enforced
from driver.runners.spec import InstalledStack
from driver.session.recording import isolation_of
from tests.driver.runners.hooks import make_spec

if TYPE_CHECKING:
    from pathlib import Path


def test_a_process_has_everything(tmp_path: Path) -> None:
    found = isolation_of(make_spec(tmp_path, "exit 0"), Enforced())
    assert found["container"] is False


def test_a_container_that_holds_all_says_nothing_more(tmp_path: Path) -> None:
    spec = replace(make_spec(tmp_path, "exit 0"), stack=InstalledStack(image="i"))
    found = isolation_of(spec, Enforced(engine="Docker 28", memory="cgroup", processes="cgroup"))
    assert (found["network"], found["root_filesystem"]) == ("none", "read-only")
    assert "not_enforced" not in found
    assert isolation_of(spec, None)["network"] == "none"


def test_what_an_engine_did_not_enforce_is_named_and_not_claimed(tmp_path: Path) -> None:
    spec = replace(make_spec(tmp_path, "exit 0"), stack=InstalledStack(image="i"))
    held = Enforced(engine="Apptainer 1.3.4", network=False, missing=("network", "read_only_root"))
    found = isolation_of(spec, held)
    assert (found["network"], found["root_filesystem"]) == ("host", "writable")
    assert found["not_enforced"] == ["network", "read_only_root"]
    assert found["engine"] == "Apptainer 1.3.4"
