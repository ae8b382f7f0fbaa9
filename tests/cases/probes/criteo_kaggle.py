"""Print what dlrm_kaggle's dataset.py reads of small train.txt files, and what it says of broken ones."""

import json
import pathlib
import random
import sys
import tempfile

import job_stub
import numpy as np

MANIFEST = job_stub.enter("dlrm_kaggle")

from case import dataset, task, train_txt  # noqa: E402
from harness.errors import StageFailure  # noqa: E402

LINES, DAYS = 400, 7


def text():
    """Lines as the challenge has them: absent fields, negative counts, values that come again."""
    drawn = random.Random(5)
    lines = []
    for _ in range(LINES):
        counts = [
            drawn.choice(["", "0", "-1", str(drawn.randrange(2, 30)), str(drawn.randrange(10**7))])
            for _ in range(13)
        ]
        # Few enough values for every table; one of the ninth's three rows is the absent value.
        categories = [
            drawn.choice(["", f"{drawn.randrange(1, min(40, size)) * 0x5EEDED:08x}"])
            for size in dataset.ROWS
        ]
        lines.append("\t".join([str(drawn.randrange(2)), *counts, *categories]) + "\n")
    return "".join(lines)


def upstream(lines):
    """Labels, counts and rows of the test set, line by line with dictionaries, as facebookresearch/dlrm has them."""
    seen = [{} for _ in range(26)]
    found = []
    for line in lines.splitlines():
        fields = [field or "0" for field in line.split("\t")]
        rows = [
            seen[n].setdefault(int(value, 16), len(seen[n])) for n, value in enumerate(fields[14:])
        ]
        counts = [max(0, int(value)) for value in fields[1:14]]
        found.append([int(fields[0]), *counts, *rows])
    # numpy's array_split: days of equal size, the first ones one longer; then halves likewise.
    last_day = np.array_split(np.arange(len(found)), DAYS)[-1]
    return [found[number] for number in np.array_split(last_day, 2)[0]]


def read(folder, lines, block_bytes=1 << 16, whole=LINES, name="train.txt"):
    """[label, counts, rows] of every item, and the first and the last one's name."""
    (folder / name).write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    constants = dict(MANIFEST["preprocess"]["default"], lines=whole)
    train_txt.blocks.__defaults__ = (block_bytes,)
    items = list(dataset.read(folder, job_stub.job(MANIFEST, ".", preprocess=constants)))
    numbers = [[item.label, *np.frombuffer(item.payload, task.STORED).tolist()] for item in items]
    return numbers, items[0].name, items[-1].name


def refused(folder, lines, **changes):
    """[kind, message, remedy] with which a file is refused."""
    try:
        read(folder, lines, **changes)
    except StageFailure as failure:
        return [failure.kind, failure.message, failure.remedy]
    return None


def changed(lines, number, column, value):
    """The text with one field replaced; line and column from 1."""
    split = lines.splitlines(keepends=True)
    fields = split[number - 1].rstrip("\n").split("\t")
    fields[column - 1] = value
    split[number - 1] = "\t".join(fields) + "\n"
    return "".join(split)


def broken(folder, good):
    """Name → how a file is refused."""
    found = {
        "not whole": refused(folder, good[: len(good) // 2]),
        "whole lines, too few": refused(folder, "".join(good.splitlines(keepends=True)[:360])),
        "too many": refused(folder, good + good.splitlines(keepends=True)[0]),
        "a column more": refused(folder, changed(good, 300, 40, "00000001\tx")),
        "an empty line": refused(folder, good.replace("\n", "\n\n", 1)),
        "no labels": refused(
            folder, "".join(line.split("\t", 1)[1] for line in good.splitlines(keepends=True))
        ),
        "label": refused(folder, changed(good, 12, 1, "2")),
        "no label": refused(folder, changed(good, 12, 1, "")),
        "count": refused(folder, changed(good, 13, 5, "1.5")),
        "count without digits": refused(folder, changed(good, 13, 5, "-")),
        "long count": refused(folder, changed(good, 13, 5, "9999999999")),
        "category": refused(folder, changed(good, 399, 20, "68fd1e6g")),
        "long category": refused(folder, changed(good, 399, 20, "168fd1e64")),
        "beyond the table": refused(
            folder, changed(changed(good, 200, 23, "00000001"), 250, 23, "2")
        ),
        "gzip": refused(folder, b"\x1f\x8b\x08" + good.encode()),
        "no lines": refused(folder, b"\0" * (1 << 18)),
        "empty": refused(folder, ""),
    }
    (folder / "train.txt").unlink()
    found["another name"] = refused(folder, good, name="test.txt")
    return found


def synthetic():
    """What generated samples are like."""
    job = job_stub.job(MANIFEST, ".")
    items = list(dataset.synthetic(job, {"count": 5000, "seed": 1}))
    fewer = list(dataset.synthetic(job, {"count": 10, "seed": 1}))
    numbers = np.stack([np.frombuffer(item.payload, task.STORED) for item in items])
    counts, rows = numbers[:, :13], numbers[:, 13:]
    large = rows[:, 2]
    return {
        "count": len(items),
        "prefix": items[:10] == fewer,
        "clicks": float(np.mean([item.label for item in items])),
        "least": int(rows.min()),
        "inside": bool((rows < np.array(dataset.ROWS)).all()),
        "reaches": rows.max(axis=0).tolist(),
        "half_of_lookups_in": float((np.sort(large)[len(large) // 2] + 1) / dataset.ROWS[2]),
        "distinct": len(np.unique(large)),
        "zero_counts": float((counts == 0).mean()),
        "largest_count": int(counts.max()),
        "least_count": int(counts.min()),
    }


with tempfile.TemporaryDirectory() as name:
    folder, good = pathlib.Path(name), text()
    expected = upstream(good)
    found, first, last = read(folder, good)
    prepared = task.make_task(job_stub.job(MANIFEST, ".")).prepare(
        np.array(found[0][1:], task.STORED).tobytes()
    )
    print(  # noqa: T201
        json.dumps(
            {
                "samples": len(found),
                "equal": found == expected,
                "names": [first, last],
                "dense": np.allclose(prepared["dense"], np.log1p(found[0][1:14]), rtol=1e-6),
                "sparse": prepared["sparse"].tolist() == found[0][14:],
                "other_blocks": read(folder, good, block_bytes=1 << 12)[0] == expected
                and read(folder, good, block_bytes=333)[0] == expected,
                "without_last_newline": read(folder, good[:-1])[0] == expected,
                "broken": broken(folder, good),
                "synthetic": synthetic(),
                "test_lines": list(dataset._test_lines(MANIFEST["preprocess"]["default"])),
                "python": sys.version_info[0],
            }
        )
    )
