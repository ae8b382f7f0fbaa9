"""The one error of the loader: what is wrong with a bundle, and what to type next."""

from __future__ import annotations


class BundleFault(Exception):
    """A bundle that cannot be used: ``message`` says what was found, ``remedy`` what to type next."""

    exit_code = 3

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


COPY_AGAIN = "copy it again from its source, and compare both with sha256sum"
