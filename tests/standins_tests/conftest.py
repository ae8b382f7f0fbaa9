"""Stand-ins where they lie: modules imported from the tree for one test, programs as processes."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE_S

STANDINS = Path(__file__).parents[1] / "standins"
NAMES = (
    "tensorrt",
    "ixrt",
    "cuda",
    "migraphx",
    "acl",
    "aclruntime",
    "ais_bench",
    "tvm",
    "assay_standin",
)
Import = Callable[[str, str], Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The arithmetic is ONNX Runtime's: without it nothing here can be tested, and is counted so."""
    if importlib.util.find_spec("onnxruntime") is not None:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.skip(reason="no onnxruntime in this Python"))


@pytest.fixture(autouse=True)
def _usual_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ASSAY_STANDIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ASSAY_STANDIN_THREADS", "1")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """``standin("nvidia", "tensorrt")`` imports a module afresh; all are forgotten afterwards."""

    def load(vendor: str, name: str) -> Any:
        for path in (STANDINS / "core", STANDINS / vendor / "python"):
            monkeypatch.syspath_prepend(path)
        return importlib.import_module(name)

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] in NAMES]:
        del sys.modules[name]


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """``program("ascend", "atc", "--model=…", NAME="value")`` runs one in an empty folder."""

    def run(
        vendor: str, name: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-B", str(STANDINS / vendor / "bin" / name), *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run
