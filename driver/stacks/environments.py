"""Virtual environments of stacks for the process runner, from the same locks as the images."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import ImageFault, disk_fault_of, stages_in
from driver.stacks.install.bytecode import compile_packages
from driver.stacks.install.installed import lacking
from driver.stacks.install.uv_install import install, uv_offline
from driver.stacks.locks import lock_sha256, parse_lock, target_of
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.file_lock import locked
from driver.system.subprocesses import ChildFailed, run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from driver.stacks.locks import Target

STAMP = "assay.json"
"""Written into an environment as the last act; one without it is half made and is made anew."""

LOCK_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A finished environment: its folder, the lock it was made from, and every wheel's sha256."""

    folder: Path
    python_version: str
    lock_sha256: str
    wheels: Mapping[str, str]

    @property
    def bin_dir(self) -> Path:
        """Return the folder that goes first on PATH."""
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        """Return the environment's interpreter."""
        return self.bin_dir / "python3"

    def provenance(self) -> dict[str, object]:
        """Return what a result records about it; paths of this host stay out."""
        return {
            "kind": "environment",
            "python": self.python_version,
            "lock_sha256": self.lock_sha256,
            "wheels": dict(self.wheels),
        }


def prepare_environment(
    folder: Path,
    *,
    python: str,
    home: Path,
    torch_index: str,
    on_progress: Callable[[str], None],
) -> Environment:
    """Return the environment of the stack in ``folder`` (its Python is ``python``), made when missing.

    Raises ImageFault when a wheel, the right Python or disk space is missing. Interrupted or killed,
    it leaves nothing that counts as done.
    """
    lock = folder / "requirements.lock"
    parse_lock(lock)
    digest = lock_sha256(lock)
    venv = environment_folder(folder, home)
    found = read_environment(venv)
    if found is not None:
        return found
    waiting = f"waiting for another run that makes the environment of {folder.name}"
    with locked(venv.with_name(f"{venv.name}.lock"), on_wait=lambda: on_progress(waiting)):
        found = read_environment(venv)
        if found is not None:
            return found
        on_progress(f"making the environment of {folder.name} (once)")
        target = target_of(python)
        wheels = Wheelhouse(home).fill(
            parse_lock(lock), target, torch_index=torch_index, on_progress=on_progress
        )
        try:
            _install(venv, lock, target, home, on_progress)
            _require_whole(venv, wheels)
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)
            raise
        return _finish(venv, digest, wheels, home)


def environment_folder(folder: Path, home: Path) -> Path:
    """Return where the environment of the stack in ``folder`` is, or would be made."""
    digest = lock_sha256(folder / "requirements.lock")
    return home / "venvs" / f"{folder.name}-{digest[:LOCK_DIGITS]}"


def read_environment(venv: Path) -> Environment | None:
    """Return the finished environment at ``venv``; None when it is missing, half made or moved."""
    try:
        document = json.loads((venv / STAMP).read_text(encoding="utf-8"))
        found = Environment(**{**document, "folder": Path(document["folder"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Its scripts and pyvenv.cfg hold absolute paths; its python dangles when its base was removed.
    try:
        # Two paths to one home (a link) are no move: each would make the other's environments anew.
        stayed = found.folder.samefile(venv)
    except OSError:
        return None
    return found if stayed and found.python.exists() else None


def find_python(version: str) -> str:
    """Return what uv shall make an environment from: our own Python where it fits, else a request."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.executable if version == own else version


def _install(
    venv: Path, lock: Path, target: Target, home: Path, on_progress: Callable[[str], None]
) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    _make_venv(venv, target, home)
    on_progress(f"installing {venv.name}")
    from uv import find_uv_bin

    try:
        install(find_uv_bin(), lock, venv, home)
        on_progress(f"compiling byte code of {venv.name}")
        compile_packages(venv)
    except ChildFailed as error:
        raise disk_fault_of(error.output, home) or ImageFault(
            f"{venv.name} could not be installed from the wheelhouse: {error.tail}",
            f"free disk space if it is full (df -h {home}), or remove {home / 'uv-cache'} and retry",
        ) from error


def _require_whole(venv: Path, wheels: Mapping[str, Path]) -> None:
    """Raise ImageFault unless the environment holds the modules of every wheel."""
    site = next(venv.glob("lib/python3.*/site-packages"))
    lost = lacking(site, wheels)
    if lost:
        raise ImageFault(
            f"{venv.name} was installed and lacks {', '.join(lost)}",
            f"free disk space if it is full (df -h {venv.parent}), or remove "
            f"{venv.parent.parent / 'uv-cache'} and retry",
        )


def _make_venv(venv: Path, target: Target, home: Path) -> None:
    from uv import find_uv_bin

    command = [find_uv_bin(), "venv", "--quiet", "--no-python-downloads"]
    command += ["--python", find_python(target.python), str(venv)]
    try:
        run_child(command, env=uv_offline(home))
    except ChildFailed as error:
        raise disk_fault_of(error.output, home) or ImageFault(
            f"no environment with Python {target.python} could be made for {venv.name}: {error.tail}",
            f"install Python {target.python} with venv, or use {stages_in('docker')}",
        ) from error


def _finish(venv: Path, digest: str, wheels: Mapping[str, Path], home: Path) -> Environment:
    house = Wheelhouse(home)
    command = [str(venv / "bin" / "python3"), "-IS", "-c", _PRINT_VERSION]
    version = run_child(command, stdout_only=True).strip()
    environment = Environment(
        folder=venv,
        python_version=version,
        lock_sha256=digest,
        wheels={
            wheel.name: house.sha256(wheel)
            for wheel in sorted(wheels.values(), key=lambda path: path.name)
        },
    )
    part = venv / f"{STAMP}.part"
    part.write_text(json.dumps(asdict(environment), default=str, indent=1), encoding="utf-8")
    part.replace(venv / STAMP)
    return environment


_PRINT_VERSION = "import platform; print(platform.python_version())"
