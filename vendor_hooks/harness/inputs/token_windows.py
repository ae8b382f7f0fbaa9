"""Windows of token ids from a text, for the dataset.py of language models. Runs in the reference image alone."""

from pathlib import Path
from typing import Any, Dict, Iterator, Sequence

import numpy as np

from harness.errors import StageFailure
from harness.inputs.items import Item
from harness.job import Job

REMEDY = "DATA=<a text file in UTF-8>, or DATA=synthetic"
#: A window is so many of these, one per token.
STORED = np.dtype("<i4")


def read_text(source: Path) -> str:
    """The text of a file, or of the only .txt of a folder. Raises StageFailure (data)."""
    if source.is_dir():
        found = sorted(source.glob("*.txt"))
        if len(found) != 1:
            message = "the folder has {} .txt files, not one".format(len(found))
            raise StageFailure("data", message, REMEDY)
        source = found[0]
    try:
        text = source.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise StageFailure("data", "the text is not UTF-8: {}".format(error), REMEDY) from error
    except OSError as error:
        message = "the text cannot be read: {}".format(error.strerror)
        raise StageFailure("data", message, REMEDY) from error
    if not text.strip():
        raise StageFailure("data", "the text is empty", REMEDY)
    return text


def windows(tokens: Sequence[int], ends: Sequence[int], job: Job) -> Iterator[Item]:
    """Yield a window of prompt + tokens ids after the other; a rest that is shorter is left out.

    ``ends[n]`` is where token n ends in the text's bytes. A label is the number of bytes of a window's scored tokens.
    Raises StageFailure (data) for a text that is shorter than a window.
    """
    lengths = job.generation
    assert lengths is not None, "only a case of generation has windows"
    size = lengths.prompt + lengths.tokens
    if len(tokens) < size:
        message = "the text has {} tokens, fewer than a prompt of {} and its {}".format(
            len(tokens), lengths.prompt, lengths.tokens
        )
        raise StageFailure("data", message, "DATA=<a longer text>, or a smaller PROMPT or TOKENS")
    for start in range(0, len(tokens) - size + 1, size):
        last = start + size - 1
        scored = int(ends[last]) - int(ends[start + lengths.prompt - 1])
        payload = np.asarray(tokens[start : last + 1], STORED).tobytes()
        yield Item(payload, scored, "tokens {} to {}".format(start, last))


def random_windows(job: Job, spec: Dict[str, Any]) -> Iterator[Item]:
    """Yield ``spec["count"]`` windows of random ids, some of which are frequent, as words are; one byte each."""
    assert job.generation is not None, "only a case of generation has windows"
    vocabulary = job.outputs[0].shape[0]
    random = np.random.RandomState(spec["seed"])
    size = job.generation.prompt + job.generation.tokens
    # Zipf's law; ids are in a random order.
    ids = random.permutation(vocabulary)
    weights = 1.0 / np.arange(1, vocabulary + 1)
    for number in range(spec["count"]):
        chosen = random.choice(ids, size=size, p=weights / weights.sum())
        payload = np.asarray(chosen, STORED).tobytes()
        yield Item(payload, job.generation.tokens, "synthetic:{}".format(number + 1))


def require_vocabulary(tokenizer: int, job: Job, name: str) -> None:
    """Raise StageFailure (data) unless a tokenizer of so many ids is one of the model's vocabulary."""
    vocabulary = job.outputs[0].shape[0]
    if tokenizer != vocabulary:
        raise StageFailure(
            "data",
            "{} has {} ids, but the model's vocabulary has {}: it is another model's".format(
                name, tokenizer, vocabulary
            ),
            "WEIGHTS=<a folder with the {} that was published with the model>".format(name),
        )
