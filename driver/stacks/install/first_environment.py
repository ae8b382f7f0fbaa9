"""Creates the driver's own environment before any package is there; driver/bootstrap.sh runs this.

    main([NAME, LOCK, VENV, HOME, ONLINE])

Wheels come from HOME/wheelhouse. pip, run from the wheel that ensurepip bundles with Python, fetches the
missing ones into it unless ONLINE is 0. uv, itself one of the lock's wheels, installs them. VENV is marked
complete (``.complete``) once it holds what the lock names and imports what requirements.in names. Of the
caller's settings for pip and Python, only indexes, proxies and certificates apply. Standard library only.
Exits with 3 and two lines on standard error on failure.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import NoReturn

from driver.stacks.install.bytecode import compile_packages
from driver.stacks.install.installed import lacking, normalized
from driver.stacks.install.locked_wheels import Pin, absent, read_lock, unpacked_uv
from driver.stacks.install.pip_download import DownloadFailed, download, shares
from driver.stacks.install.pip_settings import PipConfigUnreadable
from driver.stacks.install.uv_install import install
from driver.system.plain_text import counted
from driver.system.subprocesses import ChildFailed, run_child

MARK = ".complete"
LAST_LINES = 3
REASON = re.compile(r"^ *(ERROR|WARNING: Retrying|Could not)")


class CannotMake(Exception):
    """What happened, and what to type next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def make(name: str, lock: Path, folder: Path, home: Path, *, online: bool = True) -> None:
    """Make the environment ``folder`` of the lock of ``name``; raises CannotMake and leaves nothing."""
    try:
        _make(name, lock, folder, home, online=online)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _make(name: str, lock: Path, folder: Path, home: Path, *, online: bool) -> None:
    pins = read_lock(lock)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True)
    _install(pins, lock, folder, home, online=online)
    compile_packages(folder)
    site = next(folder.glob("lib/python3.*/site-packages"))
    lost = lacking(site, [pin.name for pin in pins])
    if lost:
        raise CannotMake(
            f"the environment of {name} lacks {', '.join(lost)} although it was installed",
            f"remove {home / 'uv-cache'} and try again",
        )
    _import(name, folder, _direct(lock, pins))
    (folder / MARK).touch()


def _install(pins: tuple[Pin, ...], lock: Path, folder: Path, home: Path, *, online: bool) -> None:
    """Install from the wheelhouse as it is, else after fetching what it lacks, else all."""
    house = home / "wheelhouse"
    refused = _refusal(pins, lock, folder, home)
    missing = absent(pins, house) if refused else ()
    if missing and not online:
        names = ", ".join(f"{pin.name} {pin.version}" for pin in missing)
        raise CannotMake(
            f"a wheel of {lock.parent.name}/{lock.name} is missing in {house}, and nothing is fetched, "
            f"for OFFLINE=1: {names}",
            "copy the wheels there from a host that has them; or OFFLINE=0, where there is a network "
            "and it may be asked",
        )
    # A wheel that is there may be another Python's: then all are asked for, and pip takes its own.
    for wanted in (missing, pins) if online else ():
        if refused and wanted and not _names_full_disk(refused):
            _fetch(wanted, lock, house)
            refused = _refusal(pins, lock, folder, home)
    if refused:
        raise CannotMake(
            f"{lock.parent.name}/{lock.name} could not be installed from {house}: {refused}",
            f"remove {home / 'uv-cache'} and try again; the wheels must be those of Python "
            f"3.{sys.version_info.minor}",
        )


def _refusal(pins: tuple[Pin, ...], lock: Path, folder: Path, home: Path) -> str:
    """Install the lock; return why that failed, "" if it did not."""
    house = home / "wheelhouse"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        uv = unpacked_uv(pins, house, Path(scratch))
        if uv is None:
            return f"it has no uv for {platform.machine()}"
        try:
            install(str(uv), lock, folder, home)
        except ChildFailed as error:
            return error.tail
    return ""


def _fetch(pins: tuple[Pin, ...], lock: Path, house: Path) -> None:
    lines = [pin.line for pin in pins]
    try:
        download(shares(lines), house, pip=(sys.executable, "-I", _bundled_pip()))
    except DownloadFailed as error:
        output = error.output.splitlines()
        reason = [line for line in output if REASON.match(line)] or output
        said = "\n".join(line.strip() for line in reason[-LAST_LINES:])
        raise CannotMake(
            f"pip could not fetch {counted(len(pins), 'package')} of {lock.parent.name}/{lock.name}:\n{said}",
            "check that pip reaches a package index (pip config list), or give it one: PIP_INDEX_URL, "
            f"PIP_FIND_LINKS; without a network copy to {house} the wheels that `make wheelhouse` "
            f"fetched on a machine that has one, with Python 3.{sys.version_info.minor} too",
        ) from error
    except PipConfigUnreadable as error:
        raise CannotMake(
            f"pip's configuration cannot be read: {error}",
            "fix that file, or leave it out: PIP_CONFIG_FILE=/dev/null",
        ) from error


def _bundled_pip() -> str:
    """Return the path of pip in the wheel that ensurepip would install."""
    import ensurepip

    folders = (
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        Path(ensurepip.__file__).parent / "_bundled",
    )
    wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
    if not wheels:
        raise CannotMake(
            f"{sys.executable} bundles no pip (ensurepip)",
            "Debian: apt-get install python3-venv; or name another Python: ASSAY_PYTHON",
        )
    return str(wheels[0] / "pip")


def _direct(lock: Path, pins: tuple[Pin, ...]) -> list[str]:
    """Return the packages of the lock that requirements.in names; all where there is none.

    It may be ahead of the lock, until `make lock`, which runs in this environment.
    """
    locked = [pin.name for pin in pins]
    try:
        text = lock.with_suffix(".in").read_text(encoding="utf-8")
    except OSError:
        return locked
    named = {normalized(name) for name in re.findall(r"^([A-Za-z0-9._-]+)", text, re.MULTILINE)}
    return [name for name in locked if name in named]


def _import(name: str, folder: Path, packages: list[str]) -> None:
    try:
        run_child([str(folder / "bin" / "python"), "-I", "-c", _IMPORT, *packages])
    except ChildFailed as error:
        raise CannotMake(
            f"the environment of {name} was made and does not import: {error.tail}",
            f"it was made with {sys.executable}; name another Python: ASSAY_PYTHON",
        ) from error


_IMPORT = """
import importlib, importlib.metadata, sys
for name in sys.argv[1:]:
    files = importlib.metadata.distribution(name).files or ()
    for file in files:
        package, _, rest = str(file).partition("/")
        if rest == "__init__.py" and package.isidentifier():
            importlib.import_module(package)
"""


def main(arguments: list[str]) -> NoReturn:
    """Make the environment that bootstrap.sh asks for, or say why not."""
    name, lock, folder, home, online = arguments
    try:
        make(name, Path(lock), Path(folder), Path(home), online=online != "0")
    except (CannotMake, OSError) as error:
        said = _disk_fault(error, home) or error
        remedy = getattr(said, "remedy", f"set ASSAY_HOME to another folder than {home}")
        sys.stderr.write(f"assay: {said}\n  → {remedy}\n")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _names_full_disk(text: str) -> bool:
    return any(os.strerror(number) in text for number in (errno.ENOSPC, errno.EDQUOT))


def _disk_fault(error: Exception, home: str) -> CannotMake | None:
    """Return what a full disk is called, whoever met it: Python, pip or uv."""
    if _names_full_disk(str(error)):
        return CannotMake(
            f"the disk of {home} is full",
            "free 500 MB there, or choose a folder on another disk: ASSAY_HOME=<folder>",
        )
    return None
