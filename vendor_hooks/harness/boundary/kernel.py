"""What Python 3.7 lacks of Linux: process control, sealed memory files, Landlock. Standard library only.

Every number is of the kernel's user-space headers, which never change: linux/prctl.h, linux/memfd.h,
linux/fcntl.h, linux/landlock.h.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import platform
import stat
import tempfile
from typing import List, NamedTuple, Optional

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2
F_ADD_SEALS = 1033
F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE = 2, 4, 16
#: memfd_create, by machine; a C library before glibc 2.27 has no function for it.
_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}

#: The same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
#: Every access to files that version 1 (Linux 5.13) knows: execute, write, read, list, make, remove.
_ACCESS_OF_VERSION_1 = (1 << 13) - 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
READ = (1 << 0) | (1 << 2) | (1 << 3)
#: Rights that exist for a file that is not a folder.
_OF_FILES = (1 << 0) | (1 << 1) | (1 << 2) | _TRUNCATE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class MemoryFile(NamedTuple):
    """Memory with a descriptor. ``descriptor`` is ours to write, ``readable`` another process's to read.

    ``sealable``: its size and, on newer kernels, its content can be locked.
    """

    descriptor: int
    readable: int
    sealable: bool

    def close(self) -> None:
        """Close both descriptors; mappings stay."""
        for number in {self.descriptor, self.readable}:
            os.close(number)


def prctl(option: int, value: int) -> bool:
    """Set one property of this process; returns whether the kernel took it."""
    return _libc.prctl(option, value, 0, 0, 0) == 0


def memory_file(size: int) -> MemoryFile:
    """Return ``size`` bytes of zeros that two processes can map; no name leads to them."""
    descriptor = _memfd()
    if descriptor is None:
        return _unlinked_file(size)
    os.ftruncate(descriptor, size)
    return MemoryFile(descriptor, descriptor, True)


def seal(descriptor: int, seals: int) -> bool:
    """Lock a memory file for ever; returns whether the kernel knows these seals."""
    try:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
    except OSError:
        return False
    return True


def landlock_version() -> Optional[int]:
    """The version of Landlock here; None where the kernel lacks it or has it switched off."""
    found = int(_libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION))
    return found if found > 0 else None


class Ruleset:
    """What this process may still do with files; ``enforce`` is for ever and for all its children."""

    def __init__(self, version: int) -> None:
        self._handled = _ACCESS_OF_VERSION_1
        # Without _REFER, renaming between folders is always refused.
        self._handled |= _REFER if version >= 2 else 0
        self._handled |= _TRUNCATE if version >= 3 else 0
        attr = _RulesetAttr(self._handled)
        self._descriptor = _checked(
            _libc.syscall(_CREATE_RULESET, ctypes.byref(attr), ctypes.sizeof(attr), 0)
        )

    def allow(self, path: str, *, write: bool) -> None:
        """Allow ``path`` and what is below it; a path that is not there is skipped."""
        try:
            # O_PATH neither opens a device nor mounts what is mounted on demand.
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            access = self._handled if write else self._handled & READ
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                access &= _OF_FILES
            attr = _PathBeneathAttr(access, descriptor)
            _checked(
                _libc.syscall(
                    _ADD_RULE, self._descriptor, _RULE_PATH_BENEATH, ctypes.byref(attr), 0
                )
            )
        finally:
            os.close(descriptor)

    def enforce(self) -> None:
        """Restrict this thread and whatever it starts; OSError where the kernel refuses."""
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        try:
            _checked(_libc.syscall(_RESTRICT_SELF, self._descriptor, 0))
        finally:
            os.close(self._descriptor)


def _checked(found: int) -> int:
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def _memfd() -> Optional[int]:
    flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
    create = getattr(os, "memfd_create", None)
    if create is not None:
        with contextlib.suppress(OSError):
            return int(create("assay", flags))
        return None
    number = _MEMFD_CREATE.get(platform.machine())
    found = -1 if number is None else int(_libc.syscall(number, b"assay", flags))
    return found if found >= 0 else None


def _unlinked_file(size: int) -> MemoryFile:
    """Before Linux 3.17: a file in memory if it has room, else in TMPDIR."""
    for folder in _folders(size):
        descriptor, path = tempfile.mkstemp(prefix="assay-", dir=folder)
        try:
            # Blocks now: without room, a mapping would end in SIGBUS.
            os.posix_fallocate(descriptor, 0, size)
            readable = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(descriptor)
            continue
        finally:
            pathlib.Path(path).unlink()
        return MemoryFile(descriptor, readable, False)
    raise MemoryError("no memory file of {} bytes can be made".format(size))


def _folders(size: int) -> List[str]:
    found = []
    with contextlib.suppress(OSError):
        state = os.statvfs("/dev/shm")
        if state.f_bavail * state.f_frsize > size:
            found.append("/dev/shm")
    return found + [tempfile.gettempdir()]
