"""train.txt of Criteo's Kaggle challenge → its test samples; or generated ones. Runs in the reference image alone."""

import numpy as np
from case import train_txt
from case.model import COUNTS, ROWS
from case.task import STORED
from harness.errors import StageFailure
from harness.inputs.items import Item

FILE = "train.txt"
#: Share of clicks in the challenge's data.
CLICKS = 0.256
#: Exponent of Zipf's law, by which rows of generated samples are chosen: few rows get most of the lookups.
ZIPF = 1.05
#: Mean of the logarithm of generated counts, its standard deviation, and the share of counts that are 0.
LOG_MEAN, LOG_SPREAD, ABSENT = 1.0, 1.5, 0.25
#: Samples that are drawn at once.
DRAWN = 4096


def read(source, job):
    """Yield the samples of the test set: the first half of the last day, with the rows of published dictionaries.

    A row is the place of a category's value among the values of the lines before it, so every line is read.
    Raises StageFailure (data) for another file, naming the line.
    """
    begin, end = _test_lines(job.preprocess)
    tables = [train_txt.FirstSeen() for _ in ROWS]
    last = 0
    for lines in train_txt.blocks(_file(source)):
        _add(tables, lines)
        last = lines.first + len(lines.labels) - 1
        low, high = max(begin, lines.first), min(end, last + 1)
        if low < high:
            yield from _samples(tables, lines, low - lines.first, high - lines.first)
    if last != job.preprocess["lines"]:
        message = "the file has {} lines, the challenge's train.txt has {}: {}".format(
            last,
            job.preprocess["lines"],
            "it was cut short" if last < job.preprocess["lines"] else "it is another file",
        )
        raise StageFailure("data", message, train_txt.REMEDY)


def synthetic(job, spec):  # noqa: ARG001
    """Yield ``spec["count"]`` samples: counts of a log-normal distribution, rows by Zipf's law, random labels."""
    random = np.random.RandomState(spec["seed"])
    made = 0
    while made < spec["count"]:
        counts = np.floor(np.exp(random.normal(LOG_MEAN, LOG_SPREAD, (DRAWN, COUNTS))))
        counts *= random.random_sample(counts.shape) >= ABSENT
        rows = np.stack([_zipf(random, size) for size in ROWS], axis=1)
        labels = random.random_sample(DRAWN) < CLICKS
        for numbers, label in zip(np.concatenate([counts, rows], axis=1).astype(STORED), labels):
            if made == spec["count"]:
                return
            made += 1
            yield Item(numbers.tobytes(), int(label), "synthetic:{}".format(made))


def _test_lines(constants):
    """Numbers, from 1, of the first test line and of the line behind the last one."""
    each, more = divmod(constants["lines"], constants["days"])
    before = each * (constants["days"] - 1) + min(more, constants["days"] - 1)
    last_day = constants["lines"] - before
    return before + 1, before + 1 + (last_day + 1) // 2


def _file(source):
    if not source.is_dir():
        return source
    path = source / FILE
    if not path.is_file():
        message = "the folder has no {}".format(FILE)
        raise StageFailure("data", message, train_txt.REMEDY)
    return path


def _add(tables, lines):
    """Give the values of these lines their rows. Raises StageFailure (data) with the line that needs too many."""
    for number, (table, size) in enumerate(zip(tables, ROWS)):
        before = len(table)
        places = table.add(lines.categories[:, number])
        if len(table) > size:
            line = lines.first + int(places[size - before])
            message = (
                "line {}, column {}: value {} of category {}, whose table has {} rows: it is another file"
            ).format(line, 1 + COUNTS + number + 1, size + 1, number + 1, size)
            raise StageFailure("data", message, train_txt.REMEDY)


def _samples(tables, lines, low, high):
    some = slice(low, high)
    rows = [table.rows(lines.categories[some, number]) for number, table in enumerate(tables)]
    numbers = np.concatenate([lines.counts[some], np.stack(rows, axis=1)], axis=1).astype(STORED)
    for place, (sample, label) in enumerate(zip(numbers, lines.labels[some])):
        yield Item(sample.tobytes(), int(label), "line {}".format(lines.first + low + place))


def _zipf(random, size):
    """DRAWN rows of a table of ``size`` rows, the n-th with a share of about n ** -ZIPF."""
    power = 1.0 - ZIPF
    drawn = random.random_sample(DRAWN)
    found = (1.0 + drawn * ((size + 1.0) ** power - 1.0)) ** (1.0 / power)
    return np.minimum(found.astype(np.int64), size) - 1
