"""The Python of the OpenVINO stack."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from driver.catalog.catalog import load_catalog
from driver.errors import AssayError
from driver.stacks.environments import prepare_environment
from driver.system.settings import load_settings
from tests.harness.job_folder import ROOT


@cache
def openvino_stack() -> tuple[Path | None, str]:
    """Return (the stack's Python, ""), or (None, why there is none)."""
    stack = load_catalog(ROOT).vendors["intel"].stacks["openvino2026.4"]
    settings = load_settings()
    try:
        made = prepare_environment(
            stack.folder,
            python=stack.manifest.python,
            home=settings.home,
            torch_index=settings.torch_index,
            on_progress=lambda _: None,
        )
    except AssayError as error:
        return None, f"{error.message}: {error.remedy}"
    return made.python, ""
