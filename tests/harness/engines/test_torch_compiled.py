"""What torch.compile needs of the machine is named before PyTorch is imported."""

from __future__ import annotations

import os
import sysconfig
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path
from tests.harness.forks import INDUCTOR

if TYPE_CHECKING:
    from pathlib import Path

compiled: Any = import_module("harness.engines.torch_compiled")
errors: Any = import_module("harness.errors")


class Imported(Exception):
    """PyTorch would be imported now."""


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


def test_pytorch_is_imported_with_the_settings_that_it_reads_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forks of tests have imported it with them, and would not notice an engine that sets none."""

    def load(_self: Any) -> None:
        raise Imported({name: os.environ.get(name) for name in INDUCTOR})

    for name in ("TORCHINDUCTOR_CACHE_DIR", *INDUCTOR):
        monkeypatch.setenv(name, "unset")
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(compiled.TorchHost, "load", load)
    with pytest.raises(Imported) as caught:
        engine(tmp_path, "process").load()
    assert caught.value.args == (INDUCTOR,)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"].startswith(str(tmp_path))
