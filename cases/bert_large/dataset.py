"""SQuAD v1.1's dev-v1.1.json → windows; or generated questions. Runs in the reference image alone."""

import json

import numpy as np
from case import task
from harness.errors import StageFailure, one_line
from harness.inputs.items import Item

VERSION = "1.1"
REMEDY = "DATA=dev-v1.1.json, the file as it is published, or DATA=synthetic"
#: Sizes of generated texts and questions, in words: about SQuAD's.
CONTEXT_WORDS, QUESTION_WORDS, ANSWER_WORDS = (90, 220), (6, 16), (1, 5)
WORDS = 4000


def read(source, job):
    """Yield a window per item, in the file's order. Raises StageFailure (data) for another file."""
    yield from _windows(_questions(_document(source)), job)


def synthetic(job, spec):
    """Yield ``spec["count"]`` windows of random words; the answers are random too."""
    random = np.random.RandomState(spec["seed"])
    words = [_word(random) for _ in range(WORDS)]

    def questions():
        while True:
            context = [words[n] for n in random.randint(WORDS, size=random.randint(*CONTEXT_WORDS))]
            length = random.randint(*ANSWER_WORDS)
            start = random.randint(len(context) - length)
            asked = [words[n] for n in random.randint(WORDS, size=random.randint(*QUESTION_WORDS))]
            yield {
                "id": "{:08x}".format(random.randint(1 << 31)),
                "question": " ".join(asked) + "?",
                "context": " ".join(context) + ".",
                "answers": [" ".join(context[start : start + length])],
            }

    windows = _windows(questions(), job)
    for _ in range(spec["count"]):
        yield next(windows)


def _windows(questions, job):
    windows = task.windows(job, job.weights_dir)
    for question in questions:
        for start in windows.starts(question["question"], question["context"]):
            document = {
                "question": question["question"],
                "context": question["context"],
                "start": start,
            }
            label = {"id": question["id"], "answers": question["answers"]}
            payload = json.dumps(document, ensure_ascii=False).encode("utf-8")
            yield Item(payload, label, "question {}, from token {}".format(question["id"], start))


def _document(source):
    if source.is_dir():
        (source,) = _only_json(source)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        version = document["version"]
    except UnicodeDecodeError as error:
        raise StageFailure("data", "the file is not UTF-8: {}".format(error), REMEDY) from error
    except ValueError as error:
        message = "the file is not whole JSON (cut short?): {}".format(one_line(error))
        raise StageFailure("data", message, REMEDY) from error
    except (KeyError, TypeError) as error:
        raise StageFailure("data", "the file is not SQuAD's: it has no version", REMEDY) from error
    if version != VERSION:
        message = "the file is SQuAD {}, not {}: its questions have other answers".format(
            version, VERSION
        )
        raise StageFailure("data", message, REMEDY)
    return document


def _only_json(folder):
    found = sorted(folder.glob("*.json"))
    if len(found) != 1:
        message = "the folder has {} .json files, not one".format(len(found))
        raise StageFailure("data", message, REMEDY)
    return found


def _questions(document):
    try:
        for article in document["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {
                        "id": str(question["id"]),
                        "question": str(question["question"]),
                        "context": str(paragraph["context"]),
                        "answers": [str(answer["text"]) for answer in question["answers"]],
                    }
    except (KeyError, TypeError) as error:
        message = "the file is not SQuAD's: {} is missing or of another type".format(error)
        raise StageFailure("data", message, REMEDY) from error


def _word(random):
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    weights = 1.0 / np.arange(1, len(letters) + 1)
    chosen = random.choice(len(letters), size=random.randint(2, 10), p=weights / weights.sum())
    return "".join(letters[n] for n in chosen)
