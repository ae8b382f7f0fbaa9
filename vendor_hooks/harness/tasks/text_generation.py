"""Language models, as the cases of generation share them: windows of token ids, scored token by token.

The whole loop asks for the logits of each token only after the tokens before it, through the same steps as the
core loop. An engine thus never sees the token that it is asked for.
"""

from typing import Any, Callable, Dict

import numpy as np

from harness.errors import StageFailure
from harness.inputs.token_windows import STORED
from harness.job import Arrays, Generation, Job
from harness.task import Task

REMEDY = "make a tokenizer and a vocabulary of one model agree: WEIGHTS=<one folder with both>"


class TextGeneration(Task):
    """A window of ``prompt + tokens`` ids → the logits of its last ``tokens`` ids, each given those before it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if job.generation is None:
            raise StageFailure(
                "contract",
                "task {} needs [generation]".format(job.document["task"]),
                "add it to cases/{}/case.toml".format(job.case),
            )
        self._lengths: Generation = job.generation
        self._input, self._output = job.inputs[0].name, job.outputs[0].name
        self._vocabulary = job.outputs[0].shape[0]

    def prepare(self, payload: bytes) -> Arrays:
        """Token ids as int64 [prompt + tokens]. Raises StageFailure (data) for ids beyond the vocabulary."""
        tokens = np.frombuffer(payload, STORED).astype(np.int64)
        expected = self._lengths.prompt + self._lengths.tokens
        if len(tokens) != expected:
            message = "a window has {} tokens, not {}".format(len(tokens), expected)
            raise StageFailure("data", message, "prepare the dataset again: make data CASE=<case>")
        if tokens.min() < 0 or tokens.max() >= self._vocabulary:
            message = "the tokenizer gave id {}, but the model's vocabulary has {}".format(
                tokens.max() if tokens.max() >= self._vocabulary else tokens.min(), self._vocabulary
            )
            raise StageFailure("data", message, REMEDY)
        return {self._input: tokens}

    def run(self, infer: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
        """The logits of the last ``tokens`` ids of each window [B, tokens, vocabulary], and these ids."""
        tokens, prompt = inputs[self._input], self._lengths.prompt
        logits = np.empty((len(tokens), self._lengths.tokens, self._vocabulary), np.float32)
        step = np.ascontiguousarray(tokens[:, :prompt])
        for number in range(self._lengths.tokens):
            logits[:, number] = infer({self._input: step})[self._output]
            step = np.ascontiguousarray(tokens[:, prompt + number])
        return {self._output: logits, "targets": tokens[:, prompt:].astype(np.int32)}

    def decode(self, outputs: Arrays) -> Arrays:
        """Of each token: the most probable id, and the negative log-likelihood of the true one in nats."""
        logits, targets = outputs[self._output], outputs["targets"].astype(np.int64)
        return {
            "tokens": np.argmax(logits, axis=2).astype(np.int32),
            "targets": targets.astype(np.int32),
            "nats": _nats(logits, targets),
        }

    def details(self) -> Dict[str, Any]:
        """The lengths of a window."""
        return {"prompt_tokens": self._lengths.prompt, "scored_tokens": self._lengths.tokens}

    def score(self, predictions: Arrays, labels: np.ndarray) -> Dict[str, float]:
        """Bits per byte of the text, perplexity per token, and how often the best token is the true one in percent.

        A label is the number of bytes of a window's last ``tokens`` tokens.
        """
        nats = predictions["nats"].astype(np.float64)
        hits = predictions["tokens"] == predictions["targets"]
        return {
            "bits_per_byte": float(nats.sum() / np.log(2) / np.asarray(labels, np.float64).sum()),
            "perplexity": float(np.exp(nats.mean())),
            "next_token": 100.0 * float(hits.mean()),
        }

    def agree(self, predictions: Arrays, golden: Arrays) -> Dict[str, float]:
        """Against fp32: how often the best token is the same in percent, and by how many bits a token differs."""
        same = predictions["tokens"] == golden["tokens"]
        apart = np.abs(predictions["nats"].astype(np.float64) - golden["nats"])
        return {
            "bits_per_byte": float(apart.mean() / np.log(2)),
            "next_token": 100.0 * float(same.mean()),
        }


def _nats(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log softmax of the targets: float32 [B, T] of logits [B, T, V] and ids [B, T]."""
    found = np.empty(targets.shape, np.float32)
    # A step at a time: float64 of all would be gigabytes for a large vocabulary.
    for step in range(targets.shape[1]):
        rows = logits[:, step].astype(np.float64)
        largest = rows.max(axis=1, keepdims=True)
        total = np.log(np.exp(rows - largest).sum(axis=1)) + largest[:, 0]
        found[:, step] = total - np.take_along_axis(rows, targets[:, step, None], axis=1)[:, 0]
    return found
