"""What lies in the place of the vendors' installers: made by tests/standins/make-installer."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from driver.locks import parse_lock, target_of
from driver.wheelhouse import Wheelhouse
from tests.vendor_images.bases import BASES, STANDINS, base_stack

if TYPE_CHECKING:
    from pathlib import Path

    from driver.base_images import Progress
    from driver.catalog import Stack
    from driver.settings import Settings

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
WITH_RUNTIME = frozenset({"cann-toolkit", "ais_infer", "benchmark", "xtcl"})
"""Kinds that bring ONNX Runtime along: nothing else of theirs in the stack has it."""


def write_installers(stack: Stack, settings: Settings, on_progress: Progress) -> Path | None:
    """Return a folder with a stand-in for every installer that a stack names; None where none is."""
    if not stack.manifest.installers:
        return None
    folder = settings.cache / "standins" / "installers" / stack.name
    folder.mkdir(parents=True, exist_ok=True)
    runtime = _onnxruntime(BASES[stack.vendor, stack.name], settings, on_progress)
    for installer in stack.manifest.installers:
        kind, version = kind_of(installer.file)
        out = folder if kind in WHEELS else folder / installer.file
        more = ["--with", str(runtime)] if kind in WITH_RUNTIME else []
        more += ["--version", version] if version else []
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


def _onnxruntime(base: str, settings: Settings, on_progress: Progress) -> Path:
    """Return a folder with onnxruntime of the wheel that the base's lock names, unpacked."""
    stack = base_stack(base)
    pins = tuple(
        pin for pin in parse_lock(stack.folder / "requirements.lock") if pin.name == "onnxruntime"
    )
    wheels = Wheelhouse(settings.home).fill(
        pins,
        target_of(stack.manifest.python),
        torch_index=settings.torch_index,
        on_progress=on_progress,
    )
    wheel = wheels["onnxruntime"]
    folder = settings.cache / "standins" / f"{wheel.stem}-unpacked"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part)
        part.replace(folder)
    return folder
