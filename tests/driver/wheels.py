"""Tiny wheels, and locks and an index of them: what pip and uv take without any network."""

from __future__ import annotations

import base64
import hashlib
import shlex
import zipfile
from typing import TYPE_CHECKING

from uv import find_uv_bin

if TYPE_CHECKING:
    from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    tag: str = "py3-none-any",
    body: str = "",
    licence: str = "",
    script: str | None = None,
) -> Path:
    """Write a wheel of one module, ``name``, that holds ``body``.

    ``licence`` is what it states; ``script`` is the text of a program ``name``, where it has one.
    """
    stated = f"License-Expression: {licence}\n" if licence else ""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n{body}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{stated}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if script is not None:
        files[f"{name}-{version}.data/scripts/{name}"] = script
    record = "".join(f"{file},{_record(text)}\n" for file, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    return path


def make_uv_wheel(folder: Path) -> Path:
    """Write a wheel whose program is the uv of this environment: the real one has 17 MB."""
    return make_wheel(folder, "uv", script=f'#!/bin/sh\nexec {shlex.quote(find_uv_bin())} "$@"\n')


def _record(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(text)}"


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_lock(path: Path, *wheels: Path) -> Path:
    """Write a lock that names these wheels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pins = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        pins.append(f"{name}=={version} \\\n    --hash=sha256:{sha256(wheel)}\n")
    path.write_text("# Made by a test.\n" + "".join(pins), encoding="utf-8")
    return path


def offline(shelf: Path) -> dict[str, str]:
    """Return the settings under which pip and uv know this folder of wheels and no network."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(shelf),
        "UV_NO_INDEX": "1",
        "UV_NO_CONFIG": "1",
    }


def write_index(folder: Path, *wheels: Path) -> str:
    """Write a simple index of these wheels; return its URL."""
    for wheel in wheels:
        page = folder / wheel.name.split("-")[0]
        page.mkdir(parents=True, exist_ok=True)
        (page / "index.html").write_text(
            f'<!DOCTYPE html><html><body><a href="{wheel.as_uri()}">{wheel.name}</a></body></html>',
            encoding="utf-8",
        )
    return folder.as_uri()
