"""MMLU: a prompt that ends in "Answer:" → which of the four letters follows most probably."""

import numpy as np
from harness.errors import StageFailure
from harness.inputs.token_windows import STORED
from harness.task import Task

LETTERS = "ABCD"
AGAIN = "prepare the dataset again: make data CASE=llama_7b"


def payload(letters, tokens):
    """An item's bytes: the ids of the four letters, then those of the prompt."""
    return np.asarray([*letters, *tokens], STORED).tobytes()


class MultipleChoice(Task):
    """Prompts have different lengths, and there is no padding: those of one length are one call."""

    #: Questions are not the core loop's prompts.
    same_steps = False

    def __init__(self, job):
        super().__init__(job)
        self._input, self._output = job.inputs[0].name, job.outputs[0].name
        self._vocabulary = job.outputs[0].shape[0]
        lengths = job.generation
        self._room = max(job.preprocess["longest"], lengths.prompt + lengths.tokens)

    def prepare(self, payload):
        """The prompt, int64 [room], repeated up to its end; its length, int64 []; the letters' ids, int64 [4]."""
        ids = np.frombuffer(payload, STORED).astype(np.int64)
        letters, tokens = ids[: len(LETTERS)], ids[len(LETTERS) :]
        if not 0 < len(tokens) <= self._room:
            message = "a prompt has {} tokens, not 1 to {}".format(len(tokens), self._room)
            raise StageFailure("data", message, AGAIN)
        if ids.min() < 0 or ids.max() >= self._vocabulary:
            message = "the tokenizer gave id {}, but the model's vocabulary has {}".format(
                ids.max() if ids.max() >= self._vocabulary else ids.min(), self._vocabulary
            )
            raise StageFailure("data", message, AGAIN)
        return {
            self._input: np.resize(tokens, self._room),
            "length": np.array(len(tokens), np.int64),
            "letters": letters,
        }

    def run(self, infer, inputs):
        """The logits behind each prompt, [B, vocabulary], and the letters' ids."""
        tokens, lengths = inputs[self._input], inputs["length"]
        logits = np.empty((len(tokens), self._vocabulary), np.float32)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            step = np.ascontiguousarray(tokens[rows, :length])
            logits[rows] = infer({self._input: step})[self._output]
        return {self._output: logits, "letters": inputs["letters"].astype(np.int32)}

    def decode(self, outputs):
        """The letters' log-likelihoods, float32 [B, 4], the most probable id of all, and the letters' ids."""
        logits, letters = outputs[self._output].astype(np.float64), outputs["letters"]
        largest = logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)) + largest
        chosen = np.take_along_axis(logits, letters.astype(np.int64), axis=1) - total
        return {
            "log_likelihoods": chosen.astype(np.float32),
            "best": logits.argmax(axis=1).astype(np.int32),
            "letters": letters.astype(np.int32),
        }

    def details(self):
        """How long a prompt may be."""
        return {"longest_prompt": self.job.preprocess["longest"]}

    def score(self, predictions, labels):
        """Right answers in percent: of the four letters the most probable one, and the same among all ids.

        The second is how FlagPerf counts. A label is the number of the right letter.
        """
        labels = np.asarray(labels, np.int64)
        right = np.take_along_axis(predictions["letters"], labels[:, None], axis=1)[:, 0]
        return {
            "accuracy": _percent(predictions["log_likelihoods"].argmax(axis=1) == labels),
            "whole_vocabulary": _percent(predictions["best"] == right),
        }

    def agree(self, predictions, golden):
        """The same two, of answers equal to fp32's."""
        ours, theirs = (one["log_likelihoods"].argmax(axis=1) for one in (predictions, golden))
        return {
            "accuracy": _percent(ours == theirs),
            "whole_vocabulary": _percent(predictions["best"] == golden["best"]),
        }


def _percent(right):
    return 100.0 * float(np.mean(right))


make_task = MultipleChoice
