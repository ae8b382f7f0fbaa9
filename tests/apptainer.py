"""Apptainer for tests: its stand-in on PATH, and an image made of this machine's own programs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.runners.apptainer.command import Asked
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STANDIN = ROOT / "tests" / "standins" / "apptainer" / "bin" / "apptainer"
WITHOUT_LIMITS = Asked(limits=False)
"""What the stand-in gives: it has no cgroups of its own."""

SHELL = ("sh", "cat", "env", "grep", "id", "ls", "mkdir", "setpriv", "sleep", "tail", "touch")
PYTHON = Path("/usr/bin/python3")
NOT_NEEDED = (
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "tkinter",
    "dist-packages",
    "__pycache__",
)
MERGED = ("bin", "sbin", "lib", "lib64")
CREATED = "2026-01-01T00:00:00Z"


def lacking() -> str:
    """Return why the stand-in cannot run here, "" if it can."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bwrap is not installed: apt-get install bubblewrap"
    sealed = [bwrap, "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc"]
    done = subprocess.run([*sealed, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"bwrap cannot isolate here: {done.stderr.strip()}"


def install(folder: Path, rootfs: Path, **site: Any) -> Path:
    """Put the stand-in into ``folder``, with what this site refuses and ignores; return the program."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "apptainer"
    program.unlink(missing_ok=True)
    program.symlink_to(STANDIN)
    (folder / "site.json").write_text(json.dumps({"rootfs": str(rootfs), **site}))
    return program


def write_layer(path: Path, *, python: bool = False) -> Path:
    """Write a layer with a shell, the programs of SHELL and, if wanted, this machine's Python."""
    programs = [found for name in SHELL if (found := shutil.which(name)) is not None]
    programs += [str(PYTHON)] if python else []
    with tarfile.open(path, "w") as layer:
        # As in the layers of debootstrap's users, whose root folder was a temporary one.
        root = tarfile.TarInfo("./")
        root.type, root.mode = tarfile.DIRTYPE, 0o700
        layer.addfile(root)
        for name in MERGED:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            layer.addfile(link)
        for name in sorted({*programs, *_libraries(programs)}):
            _add(layer, Path(name))
        if python:
            _add_modules(layer)
    return path


def _libraries(programs: Sequence[str]) -> Iterator[str]:
    """Yield the libraries that programs are linked with."""
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        words = line.replace("=>", " ").split()
        yield from [word for word in words if word.startswith("/") and not word.endswith(":")][-1:]


def _add(layer: tarfile.TarFile, path: Path) -> None:
    """Add a file under its own name, where the merged /usr has it."""
    top = path.parts[1]
    name = Path("usr", *path.parts[1:]) if top in MERGED else Path(*path.parts[1:])
    layer.add(path.resolve(), arcname=str(name), recursive=False)


def _add_modules(layer: tarfile.TarFile) -> None:
    version = PYTHON.resolve().name
    folder = Path("/usr/lib") / version

    def needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(entry.name).name
        return None if name in NOT_NEEDED or name.startswith("config-") else entry

    layer.add(folder, arcname=str(folder).lstrip("/"), filter=needed)


def save_image(path: Path, layers: Sequence[Path], *images: Mapping[str, str]) -> list[str]:
    """Write an archive as `docker save` does, an image for each set of labels; return their ids.

    An image is tagged by the labels' vendor and stack.
    """
    digests = [hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers]
    listed, ids = [], []
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for layer, digest in zip(layers, digests, strict=True):
            archive.add(layer, arcname=f"{digest}/layer.tar")
        for labels in images:
            config = json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "created": CREATED,
                    "config": {"Labels": dict(labels), "Env": ["OF_THE_IMAGE=1"]},
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one}" for one in digests]},
                }
            ).encode()
            name = hashlib.sha256(config).hexdigest()
            _write(archive, f"{name}.json", config)
            tag = f"assay/{labels['assay.vendor']}:{labels['assay.stack']}-{name[:12]}"
            files = [f"{one}/layer.tar" for one in digests]
            listed.append({"Config": f"{name}.json", "RepoTags": [tag], "Layers": files})
            ids.append(f"sha256:{name}")
        _write(archive, "manifest.json", json.dumps(listed).encode())
    return ids


def _write(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def on_path(program: Path) -> str:
    """Return a PATH with the stand-in first."""
    return f"{program.parent}:{os.environ.get('PATH', '')}"
