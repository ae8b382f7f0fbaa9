"""What a process that an SDK starts says before it dies: remembered, and still in the log."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness.modules import overheard

SAID = (
    "(EngineCore pid=143) INFO starting\n"
    "(EngineCore pid=143) ERROR 11-29 22:00:00 [core.py:946] ValueError: no room for 8 sequences\n"
    "(EngineCore pid=143) RuntimeError: worker died\n"
)


def dies() -> None:
    subprocess.run([sys.executable, "-c", f"import sys; sys.stderr.write({SAID!r})"], check=True)
    raise RuntimeError("Engine core initialization failed")


def test_the_first_error_of_a_process_that_died_is_the_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RuntimeError), overheard.overhearing() as heard:
        dies()
    assert heard.errors() == ["ValueError: no room for 8 sequences", "RuntimeError: worker died"]
    # The log has all of it.
    assert "INFO starting" in capfd.readouterr().err


def test_standard_error_is_the_same_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with overheard.overhearing() as heard:
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'inside')"], check=True)
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'outside')"], check=True)
    assert heard.errors() == []
    assert "outside" in capfd.readouterr().err
