"""How far outputs differ: the smallest cosine of an item, and the largest difference of a value."""

import numpy as np


def compare(outputs, reference):
    """Compare name → array [items, …] pairs; return (cosine_min, max_abs) over all items and outputs.

    Two rows of zeros agree (cosine 1); a row of zeros and another row do not (0). Computed in float64.
    """
    cosines, differences = [], []
    for name, expected in reference.items():
        right = np.asarray(expected, np.float64).reshape(len(expected), -1)
        left = np.asarray(outputs[name], np.float64).reshape(len(right), -1)
        cosines.append(_cosines(left, right).min())
        differences.append(np.abs(left - right).max())
    return float(min(cosines)), float(max(differences))


def _cosines(left, right):
    product = np.einsum("ij,ij->i", left, right)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = ~left.any(axis=1) & ~right.any(axis=1)
    return np.where(both_zero, 1.0, product / np.where(norms > 0, norms, 1.0))
