"""An old CPython of this machine as an archive: base images of vendors have 3.7, 3.8, 3.10 and 3.12."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.system.hashing import file_sha256
from tests.vendor_images.archive import write_archive
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)"
LEFT_OUT = frozenset({
    "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip",
    "pydoc_data", "site-packages",
})  # fmt: skip


def pack_cpython(version: str, folder: Path) -> Path:
    """Return an archive of bin and lib of a CPython ``3.8``, without tests and without packages.

    Raises EnvironmentFault where this machine has none that may be moved to another place.
    """
    prefix = find_cpython(version)
    executable = prefix / "bin" / f"python{version}"
    digest = file_sha256(next(iter(sorted((prefix / "lib").glob("libpython*.so.1.0"))), executable))
    archive = folder / f"cpython-{version}-{digest[:12]}.tar.gz"
    return archive if archive.is_file() else write_archive(archive, _entries(prefix, version))


def find_cpython(version: str) -> Path:
    """Return the prefix of a CPython: ASSAY_PY38, then python3.8 on PATH, then pyenv's."""
    for python in _candidates(version):
        prefix = _prefix(python, version)
        # A system's own Python is spread over /usr, and cannot be separated from the rest of it.
        if prefix is not None and prefix != Path("/usr"):
            return prefix
    raise EnvironmentFault(
        f"no CPython {version} of its own folder is on this machine, and the stand-in bases need one",
        f"type: pyenv install {version}, or set {_variable(version)} to a python{version}",
    )


def _variable(version: str) -> str:
    return f"ASSAY_PY{version.replace('.', '')}"


def _candidates(version: str) -> Iterator[Path]:
    named = (os.environ.get(_variable(version)), shutil.which(f"python{version}"))
    yield from (Path(name) for name in named if name)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _prefix(python: Path, version: str) -> Path | None:
    """Return sys.base_prefix; None where it does not start (pyenv's shims) or is another version."""
    try:
        done = subprocess.run(
            [str(python), "-c", ASK],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except OSError:
        return None
    found, _, prefix = done.stdout.partition("\n")
    return Path(prefix.strip()) if done.returncode == 0 and found == version else None


def _entries(prefix: Path, version: str) -> dict[str, Path]:
    executable = prefix / "bin" / f"python{version}"
    names = (f"python{version}", "python3", "python")
    entries = {f"bin/{name}": executable.resolve() for name in names}
    libraries = sorted((prefix / "lib").glob("libpython*.so*"))
    entries |= {f"lib/{path.name}": path for path in libraries}
    library = prefix / "lib" / f"python{version}"
    for path in library.rglob("*"):
        inner = path.relative_to(library)
        wanted = LEFT_OUT.isdisjoint(inner.parts) and not inner.parts[0].startswith("config-")
        if wanted and path.is_file():
            entries[f"lib/python{version}/{inner.as_posix()}"] = path
    return entries
