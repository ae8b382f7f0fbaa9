"""WordPiece with places: text → token ids, each with the characters that it covers.

The same tokens as BERT's own tokenizer for uncased vocabularies (google-research/bert, tokenization.py):
control characters dropped, accents stripped, lower case, punctuation and CJK characters split off, then the
longest known pieces of each word.
"""

import hashlib
import unicodedata

from harness.errors import StageFailure

VOCABULARY_SIZE = 30522
LONGEST_WORD = 100
#: Where bert-large-uncased's vocab.txt has them; hashed words get the ids from FIRST_WORD on.
PAD, UNKNOWN, START, SEPARATOR = 0, 100, 101, 102
FIRST_WORD = 1000
SPECIAL = {"[PAD]": PAD, "[UNK]": UNKNOWN, "[CLS]": START, "[SEP]": SEPARATOR}
#: Blocks of Chinese characters, as tokenization.py lists them.
CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class HashedWords:
    """A stand-in for a vocabulary, for synthetic weights: every word is one token, its id a hash."""

    description = "hashed words (synthetic weights have no vocabulary)"

    @staticmethod
    def pieces(word):
        """The token of a word: [(id, characters of the word)]."""
        digest = hashlib.sha256(word.encode("utf-8")).digest()
        number = FIRST_WORD + int.from_bytes(digest[:4], "little") % (VOCABULARY_SIZE - FIRST_WORD)
        return [(number, len(word))]


class WordPieces:
    """A vocab.txt: one piece a line, the id is its number. Raises StageFailure (data) if it does not fit."""

    description = "WordPiece of the weights' vocab.txt"

    def __init__(self, path):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise _unfit("vocab.txt cannot be read: {}".format(error)) from error
        self._ids = {piece.rstrip("\n"): number for number, piece in enumerate(lines)}
        if len(lines) != VOCABULARY_SIZE:
            raise _unfit(
                "vocab.txt has {} pieces, but the model's embedding has {}".format(
                    len(lines), VOCABULARY_SIZE
                )
            )
        wrong = [name for name, number in SPECIAL.items() if self._ids.get(name) != number]
        if wrong:
            raise _unfit(
                "vocab.txt has {} at {}, not at {}".format(
                    wrong[0], self._ids.get(wrong[0]), SPECIAL[wrong[0]]
                )
            )

    def pieces(self, word):
        """The longest known pieces of a word: [(id, characters of the word)]; [UNK] if some part has none."""
        if len(word) > LONGEST_WORD:
            return [(UNKNOWN, len(word))]
        found, start = [], 0
        while start < len(word):
            end = len(word)
            while end > start:
                number = self._ids.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
                end -= 1
            else:
                return [(UNKNOWN, len(word))]
            found.append((number, end - start))
            start = end
        return found


def tokenize(vocabulary, text):
    """[(id, first character, behind the last one)] of a text, in its own characters."""
    tokens = []
    for word, places in _words(text):
        start = 0
        for number, length in vocabulary.pieces(word):
            tokens.append((number, places[start][0], places[start + length - 1][1]))
            start += length
    return tokens


def _words(text):
    """Yield (normalised word, [(first, behind)] of its characters in ``text``)."""
    letters, places = [], []
    for at, original in enumerate(text):
        if _is_dropped(original):
            continue
        if _is_space(original) or _is_cjk(original):
            if letters:
                yield "".join(letters), places
                letters, places = [], []
            if not _is_space(original):
                yield original, [(at, at + 1)]
            continue
        for letter in _plain(original):
            if _is_punctuation(letter):
                if letters:
                    yield "".join(letters), places
                    letters, places = [], []
                yield letter, [(at, at + 1)]
            else:
                letters.append(letter)
                places.append((at, at + 1))
    if letters:
        yield "".join(letters), places


def _plain(letter):
    """A character in lower case without accents: may be several characters, or none."""
    decomposed = unicodedata.normalize("NFD", letter.lower())
    return [one for one in decomposed if unicodedata.category(one) != "Mn"]


def _is_space(letter):
    return letter in " \t\n\r" or unicodedata.category(letter) == "Zs"


def _is_dropped(letter):
    if letter in "\t\n\r":
        return False
    return letter in "\x00\ufffd" or unicodedata.category(letter).startswith("C")


def _is_cjk(letter):
    return any(first <= ord(letter) <= last for first, last in CJK)


def _is_punctuation(letter):
    code = ord(letter)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(letter).startswith("P")


def _unfit(message):
    remedy = "WEIGHTS=<a folder with the vocab.txt that was published with the model>"
    return StageFailure("data", message, remedy)
