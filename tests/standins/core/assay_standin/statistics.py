"""Minimum, maximum, mean, median and percentiles of times, for the tools' summaries."""

import math


def percentile(values, percent):
    """Return the nearest-rank percentile, as trtexec takes it."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, math.ceil(percent / 100.0 * len(ordered)) - 1))
    return ordered[rank]


def median(values):
    """Return the middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


def mean(values):
    """Return the arithmetic mean."""
    return sum(values) / float(len(values))
