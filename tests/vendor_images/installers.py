"""What replaces the vendors' installers: made by tests/standins/make-installer."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.vendor_images.bases import STANDINS

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.system.settings import Settings

KINDS = (
    (re.compile(r"Ascend-cann-toolkit_(?P<version>[0-9.A-Z]+)_linux"), "cann-toolkit"),
    (re.compile(r"aclruntime-(?P<version>[0-9.]+)-"), "aclruntime"),
    (re.compile(r"ais_bench-(?P<version>[0-9.]+)-"), "ais_bench"),
    (re.compile(r"(ais_infer)\.tar"), "ais_infer"),
    (re.compile(r"(benchmark)\.tar"), "benchmark"),
    (re.compile(r"xtcl-(?P<version>[0-9.]+)-"), "xtcl"),
    (re.compile(r"xre-(?P<version>[0-9.]+)-"), "xre"),
)
"""An installer's file name in a stack.toml → the kind that make-installer knows."""

WHEELS = frozenset({"aclruntime", "ais_bench"})


def write_installers(stack: Stack, settings: Settings) -> Path | None:
    """Return a folder with a stand-in for every installer that a stack names; None where none is.

    They compute with the ONNX Runtime of the stack's own lock, so that none of theirs hides that it has none.
    """
    if not stack.manifest.installers:
        return None
    folder = settings.cache / "standins" / "installers" / stack.name
    folder.mkdir(parents=True, exist_ok=True)
    for installer in stack.manifest.installers:
        kind, version = kind_of(installer.file)
        out = folder if kind in WHEELS else folder / installer.file
        more = ["--version", version] if version else []
        command = [sys.executable, "-B", str(STANDINS / "make-installer"), kind, str(out), *more]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def kind_of(file: str) -> tuple[str, str | None]:
    """Return what an installer is and its version; KeyError for a file that no stand-in is for."""
    for pattern, kind in KINDS:
        found = pattern.match(file)
        if found:
            return kind, found.groupdict().get("version")
    raise KeyError(file)
