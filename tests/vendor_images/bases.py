"""Stand-ins for the vendors' base images: a Debian, an old Python, and the SDK's imitation in it.

The source of each is in tests/standins/bases/<name>, arranged like a stack of images/, and the
driver's own builder makes it: named by its content, so that a second call builds nothing.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from driver.catalog.vendor import Stack
from driver.models.stack import StackManifest
from driver.stacks.base_image import resolve_base
from driver.stacks.image import ImageBuilder
from driver.system.settings import DEBOOTSTRAP, ROOT
from tests.vendor_images.archive import write_archive
from tests.vendor_images.cpython import pack_cpython
from tests.vendor_images.torch_without_cuda import pack_torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.stacks.base_image import ImageApi, Progress
    from driver.system.settings import Settings

STANDINS = ROOT / "tests" / "standins"
BASES = {
    ("amd", "rocm7"): "rocm-7.2",
    ("amd", "rocm7-vllm0.29"): "serving-rocm-3.12",
    ("ascend", "cann5.1.rc1"): "python3.7",
    ("ascend", "cann5.1.rc2"): "python3.7",
    ("ascend", "cann9-vllm0.23"): "serving-npu-3.12",
    ("ascend", "cann9.1-310p"): "torch-npu-2.12",
    ("ascend", "cann9.1-910b"): "torch-npu-2.12",
    ("iluvatar", "corex4.3"): "corex-4.3",
    ("kunlunxin", "xtcl2.0"): "python3.8",
    ("metax", "maca2.19"): "maca-2.19",
    ("metax", "maca3.8"): "maca-3.8",
    ("nvidia", "cuda11.3-trt7.2"): "tensorrt-21.06",
    ("nvidia", "cuda11.8-trt8.5"): "pytorch-22.11",
    ("nvidia", "cuda12.1-trt8.6"): "pytorch-23.06",
    ("nvidia", "cuda13-ort"): "pytorch-26.05",
    ("nvidia", "cuda13-trt10.16"): "pytorch-26.05",
    ("nvidia", "cuda13-trt11"): "pytorch-26.07",
    ("nvidia", "cuda13-vllm0.29"): "serving-3.12",
    ("nvidia", "cuda13-trtllm1.2"): "serving-3.12",
}
"""Which base stands in for the one that a stack (vendor, name) pins."""


def base_stack(name: str) -> Stack:
    """Return a base as a stack: its manifest and its folder."""
    folder = STANDINS / "bases" / name
    text = (folder / "stack.toml").read_text(encoding="utf-8")
    return Stack(manifest=StackManifest.model_validate(tomllib.loads(text)), folder=folder)


def ensure_base(api: ImageApi, settings: Settings, name: str, on_progress: Progress) -> str:
    """Return the tag of a base, made when it is not there.

    Raises EnvironmentFault or ImageFault where this machine lacks what it is made of.
    """
    stack = base_stack(name)
    reference = load_catalog(ROOT).reference.manifest
    debian = resolve_base(
        api, reference, DEBOOTSTRAP, home=settings.home, on_progress=on_progress
    ).reference
    builder = ImageBuilder(
        api=api,
        home=settings.home,
        torch_index=settings.torch_index,
        on_progress=on_progress,
        base=debian,
        installers=_parts(stack, settings.cache / "standins", on_progress),
    )
    return builder.ensure(stack).tag


def _parts(stack: Stack, cache: Path, on_progress: Progress) -> Path:
    """Lay what the base's stack.toml calls its installers into a folder, by links."""
    folder = cache / "bases" / stack.name
    folder.mkdir(parents=True, exist_ok=True)
    python = stack.manifest.python
    makers: dict[str, Callable[[], Path]] = {
        "cpython.tar.gz": lambda: pack_cpython(python, cache),
        "standins.tar.gz": lambda: _pack_standins(cache),
        "torch.tar.gz": lambda: pack_torch(stack.folder / "torch.lock", python, cache, on_progress),
    }
    for installer in stack.manifest.installers:
        link = folder / installer.file
        target = makers[installer.file]()
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return folder


def _pack_standins(cache: Path) -> Path:
    skipped = ("bases", "__pycache__", ".ruff_cache")
    files = {
        path.relative_to(STANDINS).as_posix(): path
        for path in STANDINS.rglob("*")
        if path.is_file() and not any(part in skipped for part in path.parts)
    }
    return write_archive(cache / "standins.tar.gz", files)
