"""Failures by kind: what they are attributed to, what happened, and what to type next."""

import errno
import re
import socket
from typing import Dict, Optional, Sequence

KINDS = (
    "host",
    "image",
    "data",
    "export",
    "compile",
    "infer",
    "out_of_memory",
    "timeout",
    "contract",
    "accuracy",
    "interrupted",
)

# The kind of an exception that nothing else classifies; scoring and data never touch the chip.
_KIND_OF_STAGE = {"export": "export", "compile": "compile", "score": "host", "data": "data"}

# The stages that run a vendor's code; access beyond what vendor.toml grants is the hook's fault.
_VENDORS_STAGES = ("compile", "validate", "infer")
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EROFS)

# Out-of-memory messages of CUDA, TensorRT, ACL, XRE, ONNX Runtime, torch and glibc.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|outofmemory|bad_alloc|cannot allocate memory|can't allocate memory"
    r"|not enough memory|failed to allocate|alloc(ation)? failed|EL0004|\b(207001|245000)\b",
    re.IGNORECASE,
)


class StageFailure(Exception):
    """An expected failure of a stage, reported as ``failure`` in report.json, without a traceback.

    ``kind`` is one of KINDS; ``message`` says what happened, with the value, and why; ``remedy`` says
    what to type or do next.
    """

    def __init__(self, kind: str, message: str, remedy: str) -> None:
        if kind not in KINDS:
            raise ValueError("unknown failure kind {!r}".format(kind))
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.remedy = remedy

    def document(self, stage: str) -> Dict[str, str]:
        """The failure as an object of report.json."""
        return {
            "kind": self.kind,
            "stage": stage,
            "message": self.message,
            "remedy": self.remedy,
        }


class StageInterrupted(BaseException):
    """SIGTERM ended the stage; ``except Exception`` does not catch it, as with KeyboardInterrupt."""


def from_exception(
    error: BaseException, stage: str, vendor: str, writable: Sequence[str] = ()
) -> StageFailure:
    """Classify any exception of a stage as a StageFailure.

    ``stage`` and ``vendor`` are names; the remedies mention them. ``writable`` are the folders that the
    stage may write to: where that fails, it is the host's fault.
    """
    if isinstance(error, StageFailure):
        return error
    if isinstance(error, (KeyboardInterrupt, StageInterrupted)):
        return StageFailure(
            "interrupted", "the stage was interrupted", "run the same command again"
        )
    text = one_line(error)
    known = _of_disk(error, text, writable) or _known(error, text, stage, vendor)
    if known is None and stage in _VENDORS_STAGES:
        known = _asked_for_more(error, text, vendor)
    return known or StageFailure(
        _KIND_OF_STAGE.get(stage, "infer"),
        "the {} stage failed: {}".format(stage, text),
        "read the stage's log beside the result; make check VENDOR={} tests the hook alone".format(
            vendor
        ),
    )


def _known(error: BaseException, text: str, stage: str, vendor: str) -> Optional[StageFailure]:
    """The failure for exhausted memory and for a missing module; None for anything else."""
    if isinstance(error, MemoryError) or says_out_of_memory(text):
        return out_of_memory(text)
    if isinstance(error, ImportError):
        return StageFailure(
            "image",
            "the stack lacks a module that the {} stage imports: {}".format(stage, text),
            "add it to the stack's requirements.in (an installer's files: to its Dockerfile), then: make lock, "
            "make images VENDOR={0} (without Docker, make lock is enough); then: make check VENDOR={0}".format(
                vendor
            ),
        )
    return None


def _of_disk(error: BaseException, text: str, writable: Sequence[str]) -> Optional[StageFailure]:
    """The failure of a disk that is full, broken, or read-only where the stage may write; else None."""
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageFailure(
            "host",
            "no disk space left: {}".format(text),
            "free some space (make clean removes the caches), then run the same command again",
        )
    path = str(error.filename or "")
    ours = any(path == folder or path.startswith(folder + "/") for folder in writable)
    if error.errno == errno.EIO or (error.errno == errno.EROFS and ours):
        return StageFailure(
            "host",
            "the disk cannot be used: {}".format(text),
            "check the disk of ASSAY_HOME (dmesg), or choose another: ASSAY_HOME=<folder>",
        )
    return None


def _asked_for_more(error: BaseException, text: str, vendor: str) -> Optional[StageFailure]:
    """The failure of a hook that accessed what vendor.toml does not grant; None for any other exception."""
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) in _NO_NETWORK:
        return StageFailure(
            "contract",
            "the hook tried to use the network, which a stage does not have: {}".format(text),
            "put what it needs into the image, or list it under [[installers]] in stack.toml",
        )
    path = str(getattr(error, "filename", None) or "")
    if isinstance(error, OSError) and path.startswith("/dev/"):
        return StageFailure(
            "host" if error.errno in _FORBIDDEN else "contract",
            "the hook tried to open {}, which this stage may not access: {}".format(path, text),
            "grant it under [devices] in vendor.toml (nodes, groups); make doctor VENDOR={} shows whether "
            "this host has it and permits access".format(vendor),
        )
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return StageFailure(
            "contract",
            "the hook tried to access what vendor.toml does not grant: {}".format(text),
            "write only to cache_dir, out_dir and TMPDIR; grant mounts and capabilities under [devices] in "
            "vendor.toml",
        )
    return None


def says_out_of_memory(text: str) -> bool:
    """True when a vendor's log or exception reports exhausted memory."""
    return _OUT_OF_MEMORY.search(text) is not None


def out_of_memory(text: str) -> StageFailure:
    """The failure of a device or host that ran out of memory; ``text`` is its message."""
    return StageFailure(
        "out_of_memory",
        "out of memory: {}".format(text),
        "use a smaller batch (BS=…) or give the stage more memory (run.memory_gib in case.toml)",
    )


def one_line(error: BaseException, limit: int = 600) -> str:
    """An exception as one line with its type, cut to ``limit`` characters."""
    text = " ".join(str(error).split())
    line = "{}: {}".format(type(error).__name__, text) if text else type(error).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"
