"""SQuAD v1.1's own scores: exact match and F1 of an answer's words, after its normalisation."""

import collections
import re
import string

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = set(string.punctuation)


def normalised(text):
    """Lower case, without punctuation and articles, words separated by one space."""
    letters = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", letters).split())


def exact_match(answer, truths):
    """Whether an answer equals one of the accepted ones: 1.0 or 0.0."""
    return float(any(normalised(answer) == normalised(truth) for truth in truths))


def f1(answer, truths):
    """The best F1 of an answer's words with those of an accepted one, 0 to 1."""
    return max(_f1(normalised(answer).split(), normalised(truth).split()) for truth in truths)


def _f1(found, expected):
    common = sum((collections.Counter(found) & collections.Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)
