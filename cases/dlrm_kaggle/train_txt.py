"""train.txt of Criteo's Kaggle challenge: its lines as arrays, and its categories as rows of the tables.

A line has a label (0 or 1), 13 counts and 26 categories (8 hexadecimal digits), separated by tabs; a count or a
category may be absent. 11 GB are read in blocks, by numpy: line by line it would take an hour.
"""

from typing import NamedTuple

import numpy as np
from harness.errors import StageFailure

COUNTS, TABLES = 13, 26
COLUMNS = 1 + COUNTS + TABLES
BLOCK_BYTES = 1 << 26
REMEDY = "DATA=train.txt, the file as it is published (dac.tar.gz), or DATA=synthetic"
TAB, NEWLINE, MINUS = b"\t\n-"
#: Digits of a count (the challenge's largest has 8) and of a category.
LONGEST_COUNT, LONGEST_CATEGORY = 9, 8
LONGEST_LINE = 1 << 16
NO_DIGIT = 255
GZIP = b"\x1f\x8b"


class Lines(NamedTuple):
    """Lines from number ``first`` (from 1): labels uint8 [N], counts int32 [N, 13], categories uint32 [N, 26].

    An absent count is 0, as is a negative one; an absent category is 0.
    """

    first: int
    labels: np.ndarray
    counts: np.ndarray
    categories: np.ndarray


class FirstSeen:
    """A category's values → rows of its table, in the order in which they first appear, as published."""

    def __init__(self):
        self._values = np.empty(0, np.uint32)  # ascending
        self._rows = np.empty(0, np.int32)

    def __len__(self):
        return len(self._values)

    def add(self, values):
        """Give new values (uint32 [N]) the next rows; return where in ``values`` each of them is, by row."""
        unique, first = np.unique(values, return_index=True)
        place = np.searchsorted(self._values, unique)
        known = np.zeros(len(unique), bool)
        inside = place < len(self._values)
        known[inside] = self._values[place[inside]] == unique[inside]
        unique, first, place = unique[~known], first[~known], place[~known]
        order = np.argsort(first)
        rows = np.empty(len(order), np.int32)
        rows[order] = np.arange(len(self), len(self) + len(order), dtype=np.int32)
        self._values = np.insert(self._values, place, unique)
        self._rows = np.insert(self._rows, place, rows)
        return first[order]

    def rows(self, values):
        """The rows of values that were added: int32 [N]."""
        return self._rows[np.searchsorted(self._values, values)]


def blocks(path, block_bytes=BLOCK_BYTES):
    """Yield the Lines of a file. Raises StageFailure (data), with the line, for one that is not the challenge's."""
    first, rest = 1, b""
    with path.open("rb") as stream:
        while True:
            read = stream.read(block_bytes)
            if first == 1 and not rest and read.startswith(GZIP):
                raise StageFailure(
                    "data", "the file is compressed", "unpack it: tar -xzf dac.tar.gz"
                )
            whole, newline, after = (rest + read).rpartition(b"\n")
            if not read and after:
                # The last line has no end, which is fine if it is whole.
                whole, newline, after = whole + newline + after, b"\n", b""
            if newline:
                lines = parse(whole + b"\n", first)
                yield lines
                first += len(lines.labels)
            rest = after
            if len(rest) > LONGEST_LINE:
                message = "line {} has more than {} bytes".format(first, LONGEST_LINE)
                raise StageFailure("data", message, REMEDY)
            if not read:
                return


def parse(block, first):
    """The Lines of bytes that end with a line's end; the first line has number ``first``."""
    # Digits are read from the right, so there must be something to the left of the first field.
    data = np.frombuffer(b"\t" * 16 + block, np.uint8)
    separators = np.flatnonzero((data == TAB) | (data == NEWLINE))[16:]
    ends_line = data[separators] == NEWLINE
    _require_columns(ends_line, first)
    stops = separators.reshape(-1, COLUMNS)
    starts = np.empty(len(separators), np.int64)
    starts[0], starts[1:] = 16, separators[:-1] + 1
    starts = starts.reshape(-1, COLUMNS)
    fields = _Fields(data, starts, stops, first)
    return Lines(
        first,
        fields.labels(),
        np.stack([fields.counts(column) for column in range(1, 1 + COUNTS)], axis=1),
        np.stack([fields.categories(column) for column in range(1 + COUNTS, COLUMNS)], axis=1),
    )


def _require_columns(ends_line, first):
    """Raise StageFailure (data) with the first line that has another number of columns."""
    ends = np.flatnonzero(ends_line)
    columns = np.diff(ends, prepend=-1)
    wrong = np.flatnonzero(columns != COLUMNS)
    if not len(wrong):
        return
    line, found = first + int(wrong[0]), int(columns[wrong[0]])
    if line == 1 and found == COLUMNS - 1:
        message = "line 1 has 39 columns, not 40: test.txt has no labels"
    else:
        message = "line {} has {} columns, not {} (cut short?)".format(line, found, COLUMNS)
    raise StageFailure("data", message, REMEDY)


class _Fields:
    """The fields of some lines: ``starts`` and ``stops`` are positions in ``data``, [N, 40]."""

    def __init__(self, data, starts, stops, first):
        self._data = data
        self._starts = starts
        self._stops = stops
        self._first = first

    def labels(self):
        """The first column: uint8 [N]."""
        digits = self._data[self._starts[:, 0]] - ord("0")
        self._require((self._lengths(0) == 1) & (digits <= 1), 0, "label, 0 or 1")
        return digits

    def counts(self, column):
        """A column of counts: int32 [N], 0 where it is absent or negative."""
        starts = self._starts[:, column]
        negative = self._data[starts] == MINUS
        found, valid = self._number(starts + negative, column, 10, LONGEST_COUNT)
        empty = negative & (self._lengths(column) == 1)
        self._require(valid & ~empty, column, "count")
        return np.where(negative, 0, found).astype(np.int32)

    def categories(self, column):
        """A column of categories: uint32 [N], 0 where it is absent."""
        found, valid = self._number(self._starts[:, column], column, 16, LONGEST_CATEGORY)
        self._require(valid, column, "category of hexadecimal digits")
        return found.astype(np.uint32)

    def _number(self, starts, column, base, longest):
        """(int64 [N], bool [N]) of fields from ``starts``: the number, and whether it is one."""
        stops = self._stops[:, column]
        found = np.zeros(len(starts), np.int64)
        valid = stops - starts <= longest
        for place in range(longest, 0, -1):
            position = stops - place
            inside = position >= starts
            digits = _DIGITS[self._data[position]]
            valid &= ~inside | (digits < base)
            found = found * base + np.where(inside, digits, 0)
        return found, valid

    def _lengths(self, column):
        return self._stops[:, column] - self._starts[:, column]

    def _require(self, valid, column, what):
        """Raise StageFailure (data) with the first line and column that are not valid."""
        wrong = np.flatnonzero(~valid)
        if not len(wrong):
            return
        row = int(wrong[0])
        start, stop = int(self._starts[row, column]), int(self._stops[row, column])
        text = bytes(self._data[start : min(stop, start + 40)])
        raise StageFailure(
            "data",
            "line {}, column {}: {!r} is not a {}".format(
                self._first + row, column + 1, text.decode("utf-8", "replace"), what
            ),
            REMEDY,
        )


def _digits():
    table = np.full(256, NO_DIGIT, np.uint8)
    for value, letter in enumerate(b"0123456789abcdef"):
        table[letter] = value
    for value, letter in enumerate(b"ABCDEF"):
        table[letter] = 10 + value
    return table


_DIGITS = _digits()
