"""What an exception is attributed to: a broken machine or image is never attributed to the chip."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.harness.modules import errors


def kind_of(error: BaseException, stage: str = "infer") -> str:
    return str(errors.from_exception(error, stage, "acme").kind)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[245000][ACL] load model /job/cache/model.om failed"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_full_memory_is_detected(error: BaseException) -> None:
    assert kind_of(error) == "out_of_memory"
    assert "BS=" in errors.from_exception(error, "compile", "acme").remedy


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt"), "image"),
        (ImportError("libcudart.so.11.0: cannot open shared object file"), "image"),
        (OSError(errno.ENOSPC, "No space left on device"), "host"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "host"),
        (KeyboardInterrupt(), "interrupted"),
        (errors.StageInterrupted("SIGTERM"), "interrupted"),
        (OSError(errno.EROFS, "Read-only file system", "/usr/lib/x.so"), "contract"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "contract"),
        (PermissionError(errno.EACCES, "Permission denied", "/dev/acme0"), "host"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/acme7"), "contract"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/job/cache/x"), "infer"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "contract"),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "contract"),
        (RuntimeError("the model ran on no core"), "infer"),
        (RuntimeError("1207001 items were expected"), "infer"),
        (ZeroDivisionError(), "infer"),
    ],
)
def test_every_other_exception_has_its_kind(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


def test_a_missing_module_says_where_to_name_it_with_and_without_an_image() -> None:
    error = ModuleNotFoundError("No module named 'acmertx'", name="acmertx")
    failure = errors.from_exception(error, "infer", "acme")
    assert "requirements.in" in failure.remedy
    assert "make lock" in failure.remedy


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("export", "export"), ("compile", "compile"), ("validate", "infer"), ("score", "host")],
)
def test_an_engine_s_own_error_is_attributed_to_its_stage(stage: str, kind: str) -> None:
    assert kind_of(ValueError("no"), stage) == kind


def test_only_a_vendors_stage_can_ask_for_more_than_it_was_granted() -> None:
    error = OSError(errno.EROFS, "Read-only file system", "/usr/lib/x.so")
    assert kind_of(error, "compile") == "contract"
    assert kind_of(error, "export") == "export"


def test_a_message_is_one_line_with_its_type_and_not_endless() -> None:
    failure = errors.from_exception(ValueError("a\nb  c" + "x" * 5000), "infer", "acme")
    assert "ValueError: a b c" in failure.message
    assert "\n" not in failure.message
    assert len(failure.message) < 700


def test_an_expected_failure_stays_as_it_is() -> None:
    failure = errors.StageFailure("data", "what", "how")
    assert errors.from_exception(failure, "infer", "acme") is failure
