"""The stage's log: plain lines on standard error, for people; no figure is ever read from them."""

import sys


def say(text: str) -> None:
    """Write one line to the log."""
    sys.stderr.write("[assay] {}\n".format(text))
    sys.stderr.flush()
