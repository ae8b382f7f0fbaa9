"""A text in UTF-8 → windows of its bytes. Runs in the reference image alone."""

from harness.inputs import token_windows


def read(source, job):
    """Yield the windows of a text. Raises StageFailure (data) for one that is empty, too short or not UTF-8."""
    payload = token_windows.read_text(source).encode("utf-8")
    yield from token_windows.windows(list(payload), range(1, len(payload) + 1), job)


def synthetic(job, spec):
    """Yield ``spec["count"]`` windows of random bytes."""
    yield from token_windows.random_windows(job, spec)
