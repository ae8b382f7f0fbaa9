"""Another maker's processor, and one without bf16, are refused inside the stage, too."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path

if TYPE_CHECKING:
    from pathlib import Path

processor: Any = import_module("vendor_hooks.amd.processor")
errors: Any = import_module("harness.errors")

EPYC = (
    "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B14\nflags\t\t: fpu avx512f avx512_bf16\n\n"
)
MILAN = EPYC.replace(" avx512f avx512_bf16", " avx2").replace("9B14", "7B13")
XEON = EPYC.replace("AuthenticAMD", "GenuineIntel").replace("AMD EPYC 9B14", "Intel Xeon")


def refused(folder: Path, text: str, precision: str) -> Any:
    path = folder / "cpuinfo"
    # The second processor is another one: the first decides.
    path.write_text(text + "vendor_id\t: Other\n", encoding="utf-8")
    try:
        processor.require(precision, path)
    except errors.StageFailure as failure:
        return failure
    return None


@pytest.mark.parametrize(("text", "precision"), [(EPYC, "fp32"), (EPYC, "bf16"), (MILAN, "fp32")])
def test_an_epyc_runs_what_it_has_instructions_for(
    tmp_path: Path, text: str, precision: str
) -> None:
    assert refused(tmp_path, text, precision) is None


def test_bf16_is_refused_without_its_instructions(tmp_path: Path) -> None:
    failure = refused(tmp_path, MILAN, "bf16")
    assert failure.kind == "host"
    assert failure.message == "AMD EPYC 7B13 has no avx512_bf16: bf16 would be emulated"
    assert "PRECISION=fp32" in failure.remedy


def test_another_makers_processor_is_refused(tmp_path: Path) -> None:
    failure = refused(tmp_path, XEON, "fp32")
    assert failure.kind == "host"
    assert failure.message == "this processor is Intel Xeon (GenuineIntel), not one of AMD's"
    assert "VENDOR=cpu" in failure.remedy
