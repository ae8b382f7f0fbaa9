"""How much of the disk an export asks for: three copies of the weights, fewer where they are gigabytes."""

from __future__ import annotations

import re

from driver.catalog.catalog import load_catalog
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.session.inputs.locate import LARGE_EXPORT_BYTES, export_bytes
from driver.system.settings import ROOT


def asked(case: str) -> int:
    return export_bytes(choose(Request(case=case, vendor="cpu"), load_catalog(ROOT)))


def test_an_export_has_three_copies_of_its_weights() -> None:
    assert (
        asked("vit_s_16") == 3 * 4 * load_catalog(ROOT).case("vit_s_16").manifest.model.parameters
    )


def test_large_weights_exist_once_but_for_what_the_exporter_rearranges() -> None:
    assert (
        asked("llama_7b") == 2 * 2 * load_catalog(ROOT).case("llama_7b").manifest.model.parameters
    )


def test_large_is_the_same_for_the_export_itself() -> None:
    text = (ROOT / "vendor_hooks" / "reference" / "stored_weights.py").read_text(encoding="utf-8")
    found = re.search(r"^LARGE_BYTES = (\d+) << (\d+)$", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) << int(found[2]) == LARGE_EXPORT_BYTES
