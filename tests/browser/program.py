"""Which Chromium opens a report in tests: the one without a window of its own, where there is one."""

from __future__ import annotations

import shutil

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""Best first: a whole browser draws its own tabs and menus as well, in twice the processor time, also where nobody
sees them."""


def chromium_program() -> str | None:
    """Return the path of the first that is on PATH, or None."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)
