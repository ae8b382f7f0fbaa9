"""`--processor-seconds`: which files of tests the processors worked for, processes that tests started included.

Wall time says little where several tests share the cores. Containers are not counted: their engine is another's child.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import forks

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTION = "--processor-seconds"
PROPERTY = "processor_s"
MOST = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option, which takes the number of lines."""
    parser.addoption(
        OPTION, type=int, nargs="?", const=MOST, help="list the files that took most processor time"
    )


class Readings:
    """The processor time since the reading before: of this process and its children, with what these have waited for."""

    def __init__(self) -> None:
        self._last = _used_s()

    def since_s(self) -> float:
        """Return the seconds since the last reading."""
        before, self._last = self._last, _used_s()
        return self._last - before


def _used_s() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(one.ru_utime + one.ru_stime for one in both)
    return own + _used_by_living_s() + forks.used_s()


def _used_by_living_s() -> float:
    """Return what living children used."""
    ticks = 0
    for child in _children():
        # It may end meanwhile; its time is then that of an ended one.
        with suppress(OSError):
            stat = Path("/proc", child, "stat").read_text(encoding="utf-8", errors="replace")
            # utime, stime, cutime and cstime of proc(5), after the name, which may have any character.
            ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(tasks: Path = Path("/proc/self/task")) -> list[str]:
    """Return the processes that this one's threads started; a thread may end while it is asked."""
    found = []
    for listed in tasks.glob("*/children"):
        with suppress(OSError):
            found += listed.read_text(encoding="ascii").split()
    return found


class Noted:
    """Notes what each phase of a test used in its report, which pytest-xdist passes on."""

    def __init__(self) -> None:
        self._readings = Readings()

    def pytest_runtest_logstart(self) -> None:
        """Leave out what was used between tests."""
        self._readings.since_s()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        """Add a property to the report."""
        report = yield
        report.user_properties.append((PROPERTY, self._readings.since_s()))  # type: ignore[attr-defined]
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Read only when asked: three readings a test are a tenth of what short tests take."""
    if config.getoption(OPTION) is not None:
        config.pluginmanager.register(Noted())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the files that took most."""
    lines = terminalreporter.config.getoption(OPTION)
    if lines is None:
        return
    used: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, seconds in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    used[report.nodeid.partition("::")[0]] += seconds
    terminalreporter.write_line(f"processor seconds: {sum(used.values()):.0f}")
    for name, seconds in used.most_common(lines):
        terminalreporter.write_line(f"{seconds:8.1f} {name}")
