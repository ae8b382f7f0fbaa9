"""Prompts → token ids: CLIP's byte-level BPE with its vocabulary, or hashes of words without one."""

import hashlib
import json
import re
import unicodedata

import numpy as np
from harness.errors import StageFailure, one_line

LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY_SIZE = 49408
START_ID, END_ID = 49406, 49407
_WORD_END = "</w>"
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


class BytePairs:
    """CLIP's tokenizer: NFC, lower case, pieces of letters, digits or other characters, merged by rank.

    ``folder`` has vocab.json and merges.txt. Raises StageFailure (data) if they cannot be read.
    """

    description = "byte-level BPE of the weights' tokenizer"

    def __init__(self, folder):
        try:
            self._ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
            lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
            self._start, self._end = self._ids[START], self._ids[END]
        except (OSError, ValueError, KeyError) as error:
            message = "the tokenizer cannot be read: {}".format(one_line(error))
            raise StageFailure(
                "data", message, "WEIGHTS=<a folder with tokenizer/vocab.json and merges.txt>"
            ) from error
        pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._letters = _byte_letters()

    def ids(self, text):
        """int64 [77]: start, at most 75 tokens, end, padded with end."""
        found = [self._start]
        for piece in _pieces(text):
            if piece in (START, END):
                found.append(self._ids[piece])
            else:
                found.extend(self._ids.get(part, self._end) for part in self._merged(piece))
        return _filled(found, self._end)

    def _merged(self, piece):
        word = [self._letters[byte] for byte in piece.encode("utf-8")]
        word[-1] += _WORD_END
        while len(word) > 1:
            ranked = [
                (self._ranks[pair], number)
                for number, pair in enumerate(zip(word, word[1:]))
                if pair in self._ranks
            ]
            if not ranked:
                break
            number = min(ranked)[1]
            word[number : number + 2] = [word[number] + word[number + 1]]
        return word


class HashedWords:
    """For synthetic weights, which have no vocabulary: each word's token is its hash."""

    description = "synthetic: the hash of each word"

    @staticmethod
    def ids(text):
        """int64 [77]: start, at most 75 tokens, end, padded with end."""
        digests = (hashlib.sha256(piece.encode("utf-8")).digest() for piece in _pieces(text))
        found = [int.from_bytes(digest[:4], "big") % START_ID for digest in digests]
        return _filled([START_ID] + found, END_ID)


def _filled(found, end):
    found = found[: LENGTH - 1]
    return np.array(found + [end] * (LENGTH - len(found)), np.int64)


def _pieces(text):
    """Split as CLIP does: special tokens, contractions, runs of letters, single digits, other runs."""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).lower()
    position = 0
    while position < len(text):
        length = _piece_length(text, position)
        if not text[position].isspace():
            yield text[position : position + length]
        position += length


def _piece_length(text, position):
    for known in (START, END) + _CONTRACTIONS:
        if text.startswith(known, position):
            return len(known)
    kind = _kind(text[position])
    if kind == "N":
        return 1
    end = position + 1
    while end < len(text) and _kind(text[end]) == kind:
        end += 1
    return end - position


def _kind(character):
    """L for letters, N for numbers, blank for white space, else other."""
    if character.isspace():
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "other"


def _byte_letters():
    """A printable letter for each byte: printable ones represent themselves, others map to 256 and up."""
    printable = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    letters, spare = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte if byte in printable else spare)
        spare += byte not in printable
    return letters
