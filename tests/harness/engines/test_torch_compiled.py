"""What torch.compile needs of the machine is named before PyTorch is imported."""

from __future__ import annotations

import sysconfig
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path

if TYPE_CHECKING:
    from pathlib import Path

compiled: Any = import_module("harness.engines.torch_compiled")
errors: Any = import_module("harness.errors")


def engine(folder: Path, runner: str) -> Any:
    document = {"job": {"runner": runner}}
    job = SimpleNamespace(document=document, inputs=[], outputs=[], cache_dir=folder)
    return compiled.CompiledHost(job)


@pytest.mark.parametrize(("runner", "kind"), [("docker", "image"), ("process", "host")])
def test_a_missing_compiler_and_missing_headers_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, kind: str
) -> None:
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(errors.StageFailure, match="no-such-compiler is not on PATH") as caught:
        engine(tmp_path, runner).load()
    assert caught.value.kind == kind
    monkeypatch.setenv("CXX", "true")
    with pytest.raises(errors.StageFailure, match=r"no .*Python\.h") as caught:
        engine(tmp_path, runner).load()
    assert (caught.value.kind, "python3-dev" in caught.value.remedy) == (kind, kind == "host")
