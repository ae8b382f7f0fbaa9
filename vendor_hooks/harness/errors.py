"""Failures by kind: whom they are booked on, what happened, and what to type next."""

import errno
import re
import socket

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

# On whom an exception of no other kind is booked; scoring and data never touch the chip.
_KIND_OF_STAGE = {"export": "export", "compile": "compile", "score": "host", "data": "data"}

# What a vendor's own code runs in: what it reaches for beyond vendor.toml is the hook's fault.
_VENDORS_STAGES = ("compile", "validate", "infer")
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EROFS)

# What the allocators of CUDA, TensorRT, ACL, XRE, ONNX Runtime, torch and glibc say when they are full.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|outofmemory|bad_alloc|cannot allocate memory|can't allocate memory"
    r"|not enough memory|failed to allocate|alloc(ation)? failed|EL0004|\b(207001|245000)\b",
    re.IGNORECASE,
)


class StageFailure(Exception):
    """An expected failure of a stage: becomes the ``failure`` of the report, never a traceback.

    ``kind`` is one of KINDS; ``message`` says what happened with the value and why; ``remedy`` says
    what to type or do next.
    """

    def __init__(self, kind, message, remedy):
        if kind not in KINDS:
            raise ValueError("unknown failure kind {!r}".format(kind))
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.remedy = remedy

    def document(self, stage):
        """The failure as report.json holds it."""
        return {
            "kind": self.kind,
            "stage": stage,
            "message": self.message,
            "remedy": self.remedy,
        }


class Interrupted(BaseException):
    """The stage was told to end (SIGTERM); passes through ``except Exception`` like Ctrl-C does."""


def from_exception(error, stage, vendor):
    """The StageFailure that any exception of this stage amounts to.

    ``stage`` is the stage's name, ``vendor`` the vendor's (for the remedies).
    """
    if isinstance(error, StageFailure):
        return error
    if isinstance(error, (KeyboardInterrupt, Interrupted)):
        return StageFailure(
            "interrupted", "the stage was interrupted", "run the same command again"
        )
    text = one_line(error)
    known = _known(error, text, stage, vendor)
    if known is None and stage in _VENDORS_STAGES:
        known = _asked_for_more(error, text, vendor)
    return known or StageFailure(
        _KIND_OF_STAGE.get(stage, "infer"),
        "the {} stage failed: {}".format(stage, text),
        "read the stage's log beside the result; make check VENDOR={} tries the hook alone".format(
            vendor
        ),
    )


def _known(error, text, stage, vendor):
    """The failure of what runs out or is not there, None for any other exception."""
    if isinstance(error, MemoryError) or says_out_of_memory(text):
        return out_of_memory(text)
    if isinstance(error, ImportError):
        return StageFailure(
            "image",
            "the stack lacks what the {} stage imports: {}".format(stage, text),
            "name it in the stack's requirements.in (an installer's files: in its Dockerfile), then: make "
            "lock, make images VENDOR={0}; without Docker make lock is enough; then: make check "
            "VENDOR={0}".format(vendor),
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageFailure(
            "host",
            "no disk space is left: {}".format(text),
            "free some space (make clean removes the caches), then run again",
        )
    return None


def _asked_for_more(error, text, vendor):
    """The failure of a hook that reached for what its vendor.toml does not grant, None for any other."""
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) in _NO_NETWORK:
        return StageFailure(
            "contract",
            "the hook asked for the network, and a stage has none: {}".format(text),
            "put what it needs into the image or into [[installers]] of stack.toml",
        )
    path = str(getattr(error, "filename", None) or "")
    if isinstance(error, OSError) and path.startswith("/dev/"):
        return StageFailure(
            "host" if error.errno in _FORBIDDEN else "contract",
            "the hook asked for {}, which this stage was not given: {}".format(path, text),
            "grant it under [devices] of vendor.toml (nodes, groups); make doctor VENDOR={} shows whether "
            "this host has it and permits it".format(vendor),
        )
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return StageFailure(
            "contract",
            "the hook asked for what vendor.toml does not grant: {}".format(text),
            "write to cache_dir, out_dir and TMPDIR only; mounts and capabilities are granted under "
            "[devices] of vendor.toml",
        )
    return None


def says_out_of_memory(text):
    """True when a vendor's log or exception speaks of memory that ran out."""
    return _OUT_OF_MEMORY.search(text) is not None


def out_of_memory(text):
    """The failure for a device or host that ran out of memory; ``text`` is what it said."""
    return StageFailure(
        "out_of_memory",
        "out of memory: {}".format(text),
        "use a smaller batch (BS=…) or give the stage more memory (run.memory_gib in case.toml)",
    )


def one_line(error, limit=600):
    """An exception as one line with its type, cut to ``limit`` characters."""
    text = " ".join(str(error).split())
    line = "{}: {}".format(type(error).__name__, text) if text else type(error).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"
