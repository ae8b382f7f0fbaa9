"""How far outputs differ: the smallest cosine of an item, and the largest difference of a value."""

import numpy as np


def compare(outputs, reference):
    """Compare name → array [items, …] pairs; return (cosine_min, max_abs) over all items and outputs.

    Two rows of zeros agree (cosine 1); a row of zeros and another row do not (0). A single number per item
    has no direction (its cosine is 1, whatever it is): the numbers of all items are one row then. Computed in
    float64.
    """
    cosines, differences = [], []
    for name, expected in reference.items():
        right = np.asarray(expected, np.float64).reshape(len(expected), -1)
        left = np.asarray(outputs[name], np.float64).reshape(len(right), -1)
        rows = (left.T, right.T) if right.shape[1] == 1 else (left, right)
        cosines.append(_cosines(*rows).min())
        differences.append(np.abs(left - right).max())
    return float(min(cosines)), float(max(differences))


def _cosines(left, right):
    product = np.einsum("ij,ij->i", left, right)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = ~left.any(axis=1) & ~right.any(axis=1)
    return np.where(both_zero, 1.0, product / np.where(norms > 0, norms, 1.0))
