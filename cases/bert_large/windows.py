"""A question and its text as the model reads them: windows of fixed length that overlap."""

import json

import numpy as np
from case import word_pieces


class Windows:
    """Lengths as published with SQuAD's BERT results: ``window``, ``stride`` and ``question``, in tokens.

    ``vocabulary`` is a HashedWords or a WordPieces.
    """

    def __init__(self, vocabulary, constants):
        self._vocabulary = vocabulary
        self.tokenizer = vocabulary.description
        self.length = constants["window"]
        self._stride = constants["stride"]
        self._question = constants["question"]

    def starts(self, question, context):
        """The first context token of every window, in tokens of the context."""
        room = self._room(self._question_tokens(question))
        count = len(word_pieces.tokenize(self._vocabulary, context))
        found = [0]
        while found[-1] + room < count:
            found.append(found[-1] + min(room, self._stride))
        return found

    def arrays(self, payload):
        """A window's arrays: input_ids, attention_mask and token_type_ids, each int64 [length]."""
        question, context = self._parts(payload)
        ids = [word_pieces.START] + [number for number, _, _ in question] + [word_pieces.SEPARATOR]
        first = len(ids)
        ids += [number for number, _, _ in context] + [word_pieces.SEPARATOR]
        padding = self.length - len(ids)
        return {
            "input_ids": np.array(ids + [word_pieces.PAD] * padding, np.int64),
            "attention_mask": np.array([1] * len(ids) + [0] * padding, np.int64),
            "token_type_ids": np.array(
                [0] * first + [1] * (len(ids) - first) + [0] * padding, np.int64
            ),
        }

    def places(self, payload):
        """Position in the window → (first character, behind the last one) of the context, for its tokens."""
        question, context = self._parts(payload)
        return {
            position: (first, behind)
            for position, (_, first, behind) in enumerate(context, start=len(question) + 2)
        }

    def _parts(self, payload):
        """Tokens of the question and of the window's part of the context."""
        document = json.loads(payload.decode("utf-8"))
        question = self._question_tokens(document["question"])
        tokens = word_pieces.tokenize(self._vocabulary, document["context"])
        start = document["start"]
        return question, tokens[start : start + self._room(question)]

    def _question_tokens(self, question):
        return word_pieces.tokenize(self._vocabulary, question)[: self._question]

    def _room(self, question):
        """How many tokens of the context fit beside the question and three separators."""
        return self.length - len(question) - 3
