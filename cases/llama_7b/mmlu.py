"""MMLU as it is published: dev/<subject>_dev.csv, test/<subject>_test.csv; question, four choices, letter."""

import csv

from case.task import LETTERS
from harness.errors import StageFailure

COLUMNS = 2 + len(LETTERS)
REMEDY = "DATA=<MMLU's data.tar, unpacked, all of it>, or DATA=synthetic"
TITLE = "The following are multiple choice questions (with answers) about {}.\n\n"


class Question:
    """A question of a subject, with the subject's examples."""

    def __init__(self, subject, number, row, examples):
        self.name = "{} question {}".format(subject, number)
        self.answer = row[-1]
        self._row = row
        # With a blank before each word: the benchmark's own code has two blanks before the first one.
        self._title = TITLE.format("".join(" " + word for word in subject.split("_")))
        self._examples = examples

    def prompt(self, shots):
        """The text that ends in "Answer:", with the last ``shots`` examples before it."""
        before = self._examples[len(self._examples) - shots :]
        shown = ["{} {}\n\n".format(_asked(row), row[-1]) for row in before]
        return self._title + "".join(shown) + _asked(self._row)


def questions(source, constants):
    """Yield each Question in the order of subjects. Raises StageFailure (data) for files that are not MMLU's.

    ``constants``: the numbers of ``subjects`` and ``questions``; the latter counts only if all are read.
    """
    folder = source / "data" if (source / "data" / "test").is_dir() else source
    subjects = _subjects(folder, constants["subjects"])
    count = 0
    for subject in subjects:
        examples = _rows(folder / "dev" / (subject + "_dev.csv"))
        for number, row in enumerate(_rows(folder / "test" / (subject + "_test.csv")), start=1):
            count += 1
            yield Question(subject, number, row, examples)
    if count != constants["questions"]:
        message = (
            "test/ has {} questions, not {}: a file is cut short, or of another version".format(
                count, constants["questions"]
            )
        )
        raise StageFailure("data", message, REMEDY)


def _subjects(folder, count):
    # macOS adds "._name.csv" beside "name.csv" on foreign disks.
    names = {
        kind: {
            path.name[: -len("_{}.csv".format(kind))]
            for path in (folder / kind).glob("*_{}.csv".format(kind))
            if path.name[0] != "."
        }
        for kind in ("dev", "test")
    }
    alone = sorted(names["dev"] ^ names["test"])
    if alone:
        message = "{} is not in both dev/ and test/".format(", ".join(alone[:5]))
        raise StageFailure("data", message, REMEDY)
    if len(names["test"]) != count:
        message = "the folder has {} subjects in dev/ and test/, not {}".format(
            len(names["test"]), count
        )
        raise StageFailure("data", message, REMEDY)
    return sorted(names["test"])


def _rows(path):
    """The rows of a file. Raises StageFailure (data) that names the line."""
    where = "{}/{}".format(path.parent.name, path.name)
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for row in reader:
                if len(row) != COLUMNS or row[-1] not in tuple(LETTERS) or not row[0].strip():
                    raise StageFailure("data", _wrong(where, reader.line_num, row), REMEDY)
                rows.append(row)
    except UnicodeDecodeError as error:
        message = "{} is not UTF-8: {}".format(where, error)
        raise StageFailure("data", message, REMEDY) from error
    except csv.Error as error:
        message = "{} line {} is cut short: {}".format(where, reader.line_num, error)
        raise StageFailure("data", message, REMEDY) from error
    except OSError as error:
        message = "{} cannot be read: {}".format(where, error.strerror)
        raise StageFailure("data", message, REMEDY) from error
    if not rows:
        raise StageFailure("data", "{} is empty".format(where), REMEDY)
    return rows


def _wrong(where, line, row):
    if len(row) == COLUMNS and row[-1] in tuple(LETTERS):
        return "{} line {} has an empty question".format(where, line)
    return "{} line {} has {} columns, the last one {!r}: expected a question, {} choices and a letter".format(
        where, line, len(row), row[-1][:20] if row else "", len(LETTERS)
    )


def _asked(row):
    """A question with its choices, up to "Answer:"."""
    choices = "".join("\n{}. {}".format(*pair) for pair in zip(LETTERS, row[1:-1]))
    return row[0] + choices + "\nAnswer:"
