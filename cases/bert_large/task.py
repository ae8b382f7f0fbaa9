"""Question answering: a window of a text → where the answer begins and ends; scored as SQuAD does."""

import json

import numpy as np
from case import squad, word_pieces
from case.windows import Windows
from harness.inputs.dataset import Dataset
from harness.task import Task

#: Candidates for each end of an answer, and its greatest length in tokens, as in run_squad.py.
BEST = 20
LONGEST_ANSWER = 30


def windows(job, folder):
    """The Windows of a job, with the vocabulary in ``folder``, or hashed words for synthetic weights."""
    if job.weights == "synthetic":
        vocabulary = word_pieces.HashedWords()
    else:
        vocabulary = word_pieces.WordPieces(folder / "vocab.txt")
    return Windows(vocabulary, job.preprocess)


class QuestionAnswering(Task):
    """A window {"question", "context", "start"} in JSON → three int64 [384]; two logits per position."""

    def __init__(self, job):
        super().__init__(job)
        # The export writes the vocabulary; while it runs, the user's folder has it.
        made = job.model_dir / "tokenizer"
        self._windows = windows(job, made if made.is_dir() else job.weights_dir)

    def prepare(self, payload):
        """A window's arrays, by the model's names."""
        return self._windows.arrays(payload)

    def decode(self, outputs):
        """The best positions of both ends: starts and ends int32 [B, 20], best first, and their logits."""
        starts, start_logits = _best(outputs["start_logits"])
        ends, end_logits = _best(outputs["end_logits"])
        return {
            "starts": starts,
            "start_logits": start_logits,
            "ends": ends,
            "end_logits": end_logits,
        }

    def details(self):
        """The tokenizer."""
        return {"tokenizer": self._windows.tokenizer}

    def score(self, predictions, labels):
        """Exact match and F1 in percent over questions, each by the best span of its windows."""
        best = {}
        dataset = Dataset(self.job.data_dir)
        try:
            for number, label in enumerate(labels):
                place, score = self._answer(predictions, number, dataset.read(number))
                known = best.get(label["id"])
                if known is None or score > known[0]:
                    best[label["id"]] = (score, place, label["answers"])
        finally:
            dataset.close()
        answered = list(best.values())
        return {
            "f1": _percent([squad.f1(text, truths) for _, text, truths in answered]),
            "exact_match": _percent(
                [squad.exact_match(text, truths) for _, text, truths in answered]
            ),
        }

    def agree(self, predictions, golden):
        """The same figures, of spans against fp32's: F1 of their positions."""
        ours, theirs = (
            [_span(arrays, number)[0] for number in range(len(arrays["starts"]))]
            for arrays in (predictions, golden)
        )
        pairs = list(zip(ours, theirs))
        return {
            "f1": _percent([_overlap(*pair) for pair in pairs]),
            "exact_match": _percent([float(left == right) for left, right in pairs]),
        }

    def same(self, predictions, others):
        """Whether both ends' best positions are the same: bool [items]."""
        return np.logical_and(
            predictions["starts"][:, 0] == others["starts"][:, 0],
            predictions["ends"][:, 0] == others["ends"][:, 0],
        )

    def _answer(self, predictions, number, payload):
        """(text, score) of a window's best span within the context."""
        places = self._windows.places(payload)
        (start, end), score = _span(predictions, number, places)
        return _text(payload, places, start, end), score


def _text(payload, places, start, end):
    if start not in places:
        return ""
    context = json.loads(payload.decode("utf-8"))["context"]
    return context[places[start][0] : places[end][1]]


def _span(arrays, number, places=None):
    """((start, end), score) of the best span of an item; within ``places``, if given."""
    found, highest = (0, 0), -np.inf
    for start, left in zip(arrays["starts"][number], arrays["start_logits"][number]):
        for end, right in zip(arrays["ends"][number], arrays["end_logits"][number]):
            fits = start <= end < start + LONGEST_ANSWER
            if places is not None:
                fits = fits and start in places and end in places
            if fits and left + right > highest:
                found, highest = (int(start), int(end)), float(left + right)
    return found, highest


def _best(logits):
    """The BEST positions of logits [B, length]: int32 [B, BEST], best first, and their float32 logits."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :BEST]
    return order.astype(np.int32), np.take_along_axis(logits, order, axis=1).astype(np.float32)


def _overlap(left, right):
    """F1 of the positions of two spans (first, last), 0 to 1."""
    common = min(left[1], right[1]) - max(left[0], right[0]) + 1
    sizes = (left[1] - left[0] + 1) + (right[1] - right[0] + 1)
    return max(0.0, 2.0 * common / sizes)


def _percent(values):
    return 100.0 * float(np.mean(values))


make_task = QuestionAnswering
