"""The example and the template return from load() what their SDK ran, not what the job asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.verbs.maintenance.scaffold import new_vendor
from tests.driver.miniature import make_tree
from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import CLASSES, SIDE, JobFolder
from tests.vendor_hooks.cpu.test_engines import CASE
from tests.vendor_hooks.cpu.tiny_onnx import colour_graph, colour_weights

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/acme"


def example(_folder: Path) -> Path:
    return EXAMPLE


def template(folder: Path) -> Path:
    return new_vendor("acme", make_tree(folder / "tree"), folder / "mine").folder


@pytest.mark.stack
@pytest.mark.parametrize("made", [example, template])
def test_what_ran_is_told_and_not_what_was_asked_for(
    tmp_path: Path, made: Callable[[Path], Path]
) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    job = JobFolder(
        tmp_path / "job", hook=made(tmp_path), case=CASE, engine="acme", arithmetic="int8"
    ).with_pictures(10)
    job.document["job"] |= {"precision": "int8", "vendor": "acme"}
    graph = colour_graph(colour_weights(CLASSES), SIDE)
    (job.folder / "model" / "model.onnx").write_bytes(graph)
    assert job.run("compile", python=python).ok.failure is None
    effective = job.run(python=python).ok.effective
    assert (effective["precision"], effective["arithmetic"]) == ("fp32", "fp32")
