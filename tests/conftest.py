"""What every test run says at its end: what this machine could not test, and how to have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

HOW = {
    "container": "bash .ci/run as root, or install docker.io and: make images",
    "browser": "apt-get install chromium",
    "py37": "pyenv install 3.7, or set ASSAY_PYTHON37",
    "stack": "let pip reach a package index: make wheelhouse",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skipped tests by what they need, in one line."""
    counts = count_by_need(terminalreporter.stats.get("skipped", []))
    if counts:
        left_out = "; ".join(f"{count} {need} ({HOW[need]})" for need, count in counts.items())
        terminalreporter.write_line(f"not tested on this machine: {left_out}")


def count_by_need(skipped: list[Any]) -> dict[str, int]:
    """Return how many of the skipped tests carry each marker that names a need."""
    found = {need: sum(need in report.keywords for report in skipped) for need in HOW}
    return {need: count for need, count in found.items() if count}
