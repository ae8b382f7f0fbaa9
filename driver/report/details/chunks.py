"""Details in packed chunks, which a click in the page unpacks; those that are still right are kept."""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from driver.report.details.kept import Packed, state_of
from driver.report.details.of_result import details

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from driver.report.details.kept import KeptDetails, State

CHUNK_ROWS = 50
"""Rows that one click unpacks: about 150 KB of JSON, a few milliseconds. At most twice as many."""


class Chunks(NamedTuple):
    """Packed details (gzip, then base64), the row with which each chunk starts, and how many rows all have."""

    packed: tuple[str, ...]
    starts: tuple[int, ...]
    rows: int


NO_CHUNKS = Chunks((), (), 0)


def pack_details(
    paths: Sequence[str],
    *,
    with_series: Collection[str],
    limit_bytes: int,
    kept: KeptDetails,
) -> Chunks:
    """Pack the details of the results at ``paths``, in order, up to ``limit_bytes``.

    Those in ``with_series`` include their latency quantiles and monitor series.
    """
    packed: list[str] = []
    starts: list[int] = []
    room, rows = limit_bytes, 0
    for part in divided(paths):
        text = _packed(part, with_series, kept)
        if len(text) > room:
            break
        packed.append(text)
        starts.append(rows)
        room -= len(text)
        rows += len(part)
    return Chunks(tuple(packed), tuple(starts), rows)


def divided(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the paths in chunks that begin with certain ones: an added row changes its own chunk alone."""
    start = 0
    for place in range(1, len(paths) + 1):
        if (
            place == len(paths)
            or place - start >= 2 * CHUNK_ROWS
            or zlib.crc32(paths[place].encode(errors="surrogateescape")) % CHUNK_ROWS == 0
        ):
            yield paths[start:place]
            start = place


def _packed(paths: Sequence[str], with_series: Collection[str], kept: KeptDetails) -> str:
    key = kept.key([(path, path in with_series) for path in paths])
    text = kept.find(key)
    if text is not None:
        return text
    samples: dict[str, State] = {}

    def opening(sample: str) -> None:
        samples[sample] = state_of(sample)

    found = [details(path, with_series=path in with_series, opening=opening) for path in paths]
    text = base64.b64encode(gzip.compress(msgspec.json.encode(found), 6, mtime=0)).decode()
    kept.keep(key, Packed(text, samples))
    return text
