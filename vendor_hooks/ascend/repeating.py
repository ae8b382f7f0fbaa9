"""Runs a vendor's tool with more and more repeats, until the time that it measured is long enough."""

import math
from typing import Callable, Tuple, TypeVar

Summary = TypeVar("Summary")

#: A warm device is faster than the short first run suggests; the more, the oftener a run was too short.
MARGIN = 1.1
#: Runs after the first: the second is sized by a cold device, the third by a warm one; rarely more.
MOST_RUNS = 5


def long_enough(
    run: Callable[[int], Summary],
    seconds: Callable[[Summary, int], float],
    min_seconds: float,
    most: Callable[[Summary], int],
) -> Tuple[Summary, int]:
    """(summary, repeats) of a run that lasted ``min_seconds``.

    ``run(repeats)`` returns a summary, ``seconds(summary, repeats)`` the time that the tool measured, and
    ``most(summary)`` the upper limit of repeats, whatever the time.
    """
    repeats, summary = 1, run(1)
    for number in range(1, MOST_RUNS + 1):
        lasted, limit = seconds(summary, repeats), max(1, most(summary))
        wanted = min(limit, math.ceil(repeats * MARGIN**number * min_seconds / lasted))
        if lasted >= min_seconds or wanted <= repeats:
            break
        repeats = wanted
        summary = run(repeats)
    return summary, repeats
