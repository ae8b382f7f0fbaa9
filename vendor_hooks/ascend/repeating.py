"""A vendor's tool, run again with more repeats until what it timed lasts as long as asked."""

import math
from typing import Callable, Tuple, TypeVar

Summary = TypeVar("Summary")

#: A warm device is faster than the short first run says.
MARGIN = 1.1
#: Runs after the first: the second is sized by a cold device, the third by a warm one, others by luck.
MOST_RUNS = 5


def long_enough(
    run: Callable[[int], Summary],
    seconds: Callable[[Summary, int], float],
    min_seconds: float,
    most: Callable[[Summary], int],
) -> Tuple[Summary, int]:
    """(summary, repeats) of a run that lasted ``min_seconds``.

    ``run(repeats)`` gives a summary, ``seconds(summary, repeats)`` what its clock counted, and
    ``most(summary)`` the repeats that are too many, whatever the clock says.
    """
    repeats, summary = 1, run(1)
    for _ in range(MOST_RUNS):
        lasted, limit = seconds(summary, repeats), max(1, most(summary))
        wanted = min(limit, math.ceil(repeats * MARGIN * min_seconds / lasted))
        if lasted >= min_seconds or wanted <= repeats:
            break
        repeats = wanted
        summary = run(repeats)
    return summary, repeats
