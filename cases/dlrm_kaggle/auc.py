"""The area under the ROC curve, and what belongs to it; exact, ties included."""

import numpy as np

#: Probabilities are at least so far from 0 and 1 where a logarithm is taken, as in scikit-learn with float32.
CLOSEST = float(np.finfo(np.float32).eps)


def area_under_roc(positive, scores):
    """The share of pairs (positive, negative) in which the positive has the higher score; a tie is half a pair.

    ``positive`` is bool [N], ``scores`` float [N]. This is the Mann-Whitney statistic, and the area under
    the ROC curve by trapezoids. None without both kinds.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    ranks = _mean_ranks(scores)
    above = ranks[positive].sum() - count * (count + 1) / 2.0
    return float(above / (float(count) * others))


def same_order(scores, expected):
    """The share of pairs that ``expected`` orders which ``scores`` orders alike, 0 to 1; a tie is half a pair.

    1 if there are no such pairs. Both are [N]; takes N x N comparisons.
    """
    agreeing = ordered = 0.0
    for number in range(1, len(expected)):
        theirs = np.sign(expected[number] - expected[:number])
        ours = np.sign(scores[number] - scores[:number])
        ordered += np.count_nonzero(theirs)
        agreeing += (theirs * (theirs + ours)).sum() / 2.0
    return float(agreeing / ordered) if ordered else 1.0


def log_loss(targets, probabilities):
    """The mean negative log-likelihood of ``targets`` [N], from 0 to 1, in nats."""
    likely = np.clip(np.asarray(probabilities, np.float64), CLOSEST, 1 - CLOSEST)
    targets = np.asarray(targets, np.float64)
    return float(-np.mean(targets * np.log(likely) + (1 - targets) * np.log1p(-likely)))


def _mean_ranks(scores):
    """Ranks from 1 in ascending order; equal scores share the mean of theirs."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2.0)[group]
