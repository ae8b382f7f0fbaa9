"""Reads one result.json and checks JSON, schema version, schema, plausibility, digest, in this order."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from pydantic import ValidationError

from driver.aggregate.compiled import struct_of
from driver.aggregate.plausibility import absurdity
from driver.aggregate.problem import ProblemKind, ResultProblem, unreadable_remedy
from driver.aggregate.record import Record, record_of
from driver.models.result import Result
from driver.system.hashing import canonical_digest
from driver.system.plain_text import shortened
from driver.system.untrusted.documents import require_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = "assay/result/1"
MAX_BYTES = 64 << 20
"""A result with all stages and repeats takes about 10 KiB; a file this large is not a result."""

AHEAD = 48
"""Files requested from the disk before they are needed: about 5 ms of checking."""

ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)

_SCHEMA = re.compile(r"assay/result/(\d{1,6})")


class Unusable(Exception):
    """A file cannot be used as a result; ``problem`` is its kind, message and remedy."""

    def __init__(self, kind: ProblemKind, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = (kind, message, remedy)


def read_records(paths: Sequence[str]) -> list[Record | ResultProblem]:
    """Return the result at each path as a row, or its problem.

    The next files are prefetched while one is checked, which hides the latency of a cold disk.
    """
    return [_record(file) for file in _opened_ahead(paths)]


def read_record(path: str) -> Record | ResultProblem:
    """Return the result at ``path`` as a row, or its problem."""
    return _record(_opened(path))


def _record(file: _Opened) -> Record | ResultProblem:
    try:
        result, edited = _result_of(file)
        with _odd_values_refused():
            return record_of(result, file.path, edited=edited)
    except Unusable as reason:
        return ResultProblem(file.path, *reason.problem)


@contextmanager
def _odd_values_refused() -> Iterator[None]:
    """Refuse a file for whatever is odd in it: it must not end the report of all others."""
    try:
        yield
    except ODD as error:
        message = f"it has a value that cannot be shown: {shortened(str(error))}"
        raise Unusable(ProblemKind.INVALID, message, "run the job again") from error


def read_result(path: str) -> tuple[Result, bool]:
    """Return the whole result at ``path``, and whether it was edited after it was written.

    The object has the attributes of a Result but may be the compiled struct (see ``compiled``).
    Raises Unusable if the file is not a valid result.
    """
    return _result_of(_opened(path))


def _result_of(file: _Opened) -> tuple[Result, bool]:
    document = _document(_text(file))
    with _odd_values_refused():
        _check_version(document)
        result = _checked(document)
        if (reason := absurdity(result)) is not None:
            raise Unusable(ProblemKind.ABSURD, shortened(reason), "run the job again")
        return result, not _digest_fits(document)


def _digest_fits(document: dict[str, Any]) -> bool:
    """Return whether the digest matches the document; removes it from the document.

    msgspec's output equals the canonical JSON for most documents and takes a tenth of the time, so
    it is tried first. Where they differ (1e-7 in msgspec, 1e-07 in Python), the canonical JSON decides.
    """
    digest = document.pop("digest", None)
    try:
        quick = msgspec.json.encode(document, order="deterministic")
        if hashlib.sha256(quick).hexdigest() == digest:
            return True
        return bool(canonical_digest(document) == digest)
    except (ValueError, RecursionError) as error:
        raise Unusable(ProblemKind.INVALID, shortened(str(error)), "run the job again") from None


def _checked(document: dict[str, Any]) -> Result:
    try:
        return cast("Result", msgspec.convert(document, struct_of(Result)))
    except msgspec.ValidationError:
        # The model has the last word, and its message names the reason.
        pass
    try:
        return Result.model_validate(document)
    except ValidationError as error:
        raise Unusable(ProblemKind.INVALID, _first(error), "run the job again") from None


class _Opened(NamedTuple):
    """A prefetched file: its descriptor, or the error that opening it gave."""

    path: str
    file: int
    error: OSError | None = None


def _opened_ahead(paths: Sequence[str]) -> Iterator[_Opened]:
    """Yield the opened files in order, with AHEAD further ones already requested from the disk."""
    waiting: deque[_Opened] = deque()
    try:
        for path in paths:
            waiting.append(_opened(path))
            if len(waiting) > AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for left in waiting:
            if left.error is None:
                os.close(left.file)


def _opened(path: str) -> _Opened:
    """Open a file and request its content; the caller closes it (see ``_text``)."""
    try:
        # Plain system calls, since a buffered file object costs as much as checking the result.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return _Opened(path, -1, error)
    with suppress(OSError):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    return _Opened(path, file)


def _text(opened: _Opened) -> bytes:
    if opened.error is not None:
        raise _unreadable(opened.error)
    try:
        size = os.fstat(opened.file).st_size
        text = os.read(opened.file, min(size, MAX_BYTES) + 1)
    except OSError as error:
        raise _unreadable(error) from error
    finally:
        os.close(opened.file)
    if len(text) > MAX_BYTES:
        raise Unusable(
            ProblemKind.NOT_JSON, f"it is larger than {MAX_BYTES >> 20} MiB", "remove the file"
        )
    return text


def _unreadable(error: OSError) -> Unusable:
    return Unusable(
        ProblemKind.UNREADABLE,
        f"it cannot be read: {error.strerror}",
        unreadable_remedy(error),
    )


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = _parsed(text)
    except RecursionError:
        raise Unusable(ProblemKind.NOT_JSON, "it nests too deeply", "remove the file") from None
    except ValueError as error:
        raise Unusable(
            ProblemKind.NOT_JSON,
            f"it is not complete JSON ({len(text)} bytes): {shortened(str(error))}",
            "copy it again from where it was measured, or run the job again",
        ) from None
    if not isinstance(document, dict):
        raise Unusable(
            ProblemKind.NOT_JSON,
            f"it is a JSON {type(document).__name__}, but a result is an object",
            "remove the file",
        )
    return document


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # Slower, but it tells NaN from a truncated file, and names the line.
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        # What msgspec refused for its numbers or its text, no other tool of a report takes either.
        require_plain(document)
        return document


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_constant(text)


def _refuse_constant(name: str) -> float:
    raise Unusable(
        ProblemKind.INVALID,
        f"a figure is {shortened(name, 40)}, which is not a finite number",
        "run the job again",
    )


def _check_version(document: dict[str, Any]) -> None:
    schema = document.get("schema")
    match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is None:
        shown = shortened(repr(schema), 60)
        raise Unusable(
            ProblemKind.OTHER_SCHEMA, f"its schema is {shown}, not {SCHEMA}", "remove the file"
        )
    if schema == SCHEMA:
        return
    if int(match.group(1)) > 1:
        raise Unusable(
            ProblemKind.NEWER_SCHEMA,
            f"it was written by a newer Assay ({schema}; this one reads {SCHEMA})",
            "update this checkout (git pull), then report again",
        )
    raise Unusable(
        ProblemKind.OLDER_SCHEMA,
        f"it was written by an older Assay ({schema}; this one reads {SCHEMA})",
        "run the job again with this checkout, or report with the checkout that wrote it",
    )


def _first(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return shortened(f"{where}: {first['msg']} (found {first.get('input')!r}){more}")
