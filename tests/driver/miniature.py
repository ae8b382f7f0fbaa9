"""A miniature tree on disk: one case, one vendor, real manifests; hooks are what a test writes."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CASE = """
schema = "assay/case/1"
name = "tiny"
title = "Tiny"
aliases = ["t"]
task = "image-classification"
[model]
architecture = "Tiny"
inputs = [{ name = "input", shape = [3, 8, 8] }]
outputs = [{ name = "output", shape = [2] }]
parameters = 10
macs = 1000
macs_scope = "all"
macs_published = 1100
[weights]
formats = [
  { kind = "huggingface", hub_id = "acme/tiny", source = "the hub", files = [{ name = "config.json" }, { name = "model.safetensors" }] },
  { kind = "pth", source = "a file", files = [] },
]
[data]
dataset = "tiny-val"
layout = "imagefolder"
count = 4
classes = 2
[metric]
name = "top1"
unit = "%"
[gate]
relative_drop = 0.01
fidelity_cosine_min = 0.99
reason = "the published rule"
[run]
batch_size = 2
tier = "smoke"
golden_count = 3
[preprocess.default]
resize = 8
[preprocess.other]
resize = 9
"""

VENDOR = """
schema = "assay/vendor/1"
name = "acme"
title = "Acme"
default_stack = "v1"
default_engine = "turbo"
default_chip = "One"
[engines.turbo]
stacks = ["v1"]
default_precision = "fp32"
validate_engine = "eager"
precisions = { fp32 = { arithmetic = "tf32" }, fp16 = { arithmetic = "fp16" } }
[engines.eager]
stacks = ["v1"]
default_precision = "fp32"
needs = "weights"
precisions = { fp32 = { arithmetic = "fp32" } }
[engines.fixed]
stacks = ["v1", "image-only"]
default_precision = "fp32"
precisions = { fp32 = { arithmetic = "fp32" } }
export = { batch = "static", opset = 11 }
[chips.One]
title = "One"
peaks = { tf32 = 1e9, fp16 = 2e9 }
published_peaks = { fp32 = 1e9 }
"""

STACK = """
schema = "assay/stack/1"
vendor = "{vendor}"
name = "{name}"
python = "3.11"
base = {{ image = "none" }}
versions = {{}}
process_runner = {alone}
"""


def make_tree(root: Path) -> Path:
    """Write the tree below ``root`` and return it."""
    _write(root / "cases/tiny/case.toml", CASE)
    _write(root / "cases/tiny/task.py", "")
    _write(root / "vendor_hooks/acme/vendor.toml", VENDOR)
    _write(root / "vendor_hooks/reference/hook", "#!/bin/sh\n")
    _write(root / "vendor_hooks/harness/__main__.py", "")
    for vendor, name, alone in (
        ("reference", "ref", "true"),
        ("acme", "v1", "true"),
        ("acme", "image-only", "false"),
    ):
        text = STACK.format(vendor=vendor, name=name, alone=alone)
        _write(root / f"images/{vendor}/{name}/stack.toml", text)
    return root


def make_pictures(folder: Path, per_class: int = 2) -> Path:
    """Write ``val/{cat,dog}/*.png`` below ``folder`` and return it; real PNG files of 8×8 pixels."""
    for number, name in enumerate(("cat", "dog")):
        for index in range(per_class):
            path = folder / "val" / name / f"{name}_{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(shade=40 * number + index))
    return folder


def png(shade: int, size: int = 8) -> bytes:
    """Return a greyscale PNG file of one shade."""
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([shade]) * size for _ in range(size))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def write_executable(path: Path, text: str) -> Path:
    """Write a hook."""
    _write(path, text)
    path.chmod(0o755)
    return path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
