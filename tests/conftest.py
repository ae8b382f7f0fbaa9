"""What every test run starts with, and says at its end: what this machine could not test, and how to have it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from driver.__main__ import OBJECTS_BETWEEN_COLLECTIONS
from driver.system.files import let_guests_read
from tests.cores import ONE_BLAS_THREAD, busy_share, core_times
from tests.shared import share

if TYPE_CHECKING:
    from collections.abc import Iterator

HOW = {
    "container": "bash .ci/run as root, or install docker.io and: make images",
    "disk": "free 22 GB where pytest writes, or name another disk: ARGS='--basetemp FOLDER'",
    "browser": "apt-get install chromium-headless-shell",
    "py37": "pyenv install 3.7, or set ASSAY_PYTHON37",
    "slurm": "apt-get install slurm-wlm munge",
    "stack": "let pip reach a package index: make wheelhouse",
}

TESTS = Path(__file__).parent
SLOWEST = (
    "cheats/test_whole_runs.py",
    "contract/test_walk_through.py",
    "vendor_hooks/test_engine_contract.py",
    "vendor_hooks/reference/test_export.py",
    "driver/test_end_to_end.py",
    "contract/test_vendors.py",
    "cases/test_timm.py",
    "cases/test_synthetic_weights.py",
    "browser/test_report_page.py",
    "vendor_hooks/nvidia/test_torch_engines.py",
    "vendor_hooks/ascend/test_cann.py",
    "vendor_hooks/kunlunxin/test_xtcl.py",
)
"""Files of half a minute and more, the longest first: started last, one would keep the other cores idle."""

# What a property costs depends on the machine. In CI the same examples are drawn every time.
settings.register_profile("assay", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("assay")

PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}
SEARCHES = gc.get_threshold()
"""Python's own thresholds."""
IGNORED = [
    int(number)
    for number in signal.valid_signals() - PYTHONS_OWN
    if signal.getsignal(number) is signal.SIG_IGN
]
"""What `nohup` or a shell's `&` made this process ignore."""
AT_START = core_times()
WORKERS = 4
"""Above this, the machine's disk and container engine are what tests wait for."""


def pytest_configure(config: pytest.Config) -> None:
    """Set this process up as the driver's own entry does, and keep what it sets from children.

    IGNORED stays ignored in a way that no child inherits. A handler that does nothing belongs to this program alone, SIG_IGN passes on: what a test starts
    heeds Ctrl-C as it does when the tests are started from a terminal.
    """
    for number in getattr(config, "workerinput", {}).get("ignored", IGNORED):
        signal.signal(number, lambda _number, _frame: None)
    let_guests_read()
    os.environ.update(ONE_BLAS_THREAD)
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _lock_devices_apart(config)
    share(config)


def _lock_devices_apart(config: pytest.Config) -> None:
    """Lock devices in a folder of this process's own: no test waits for somebody else's run."""
    os.environ["ASSAY_LOCKS"] = tempfile.mkdtemp(prefix="assay-test-locks-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["ASSAY_LOCKS"], ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one worker more than there are processors: tests of processes wait a fifth of their time."""
    most: int | None = config.option.maxprocesses
    return min(most or WORKERS, len(os.sched_getaffinity(0)) + 1)


def pytest_configure_node(node: Any) -> None:
    """Have a process of pytest-xdist ignore the same: it inherited nothing of it."""
    node.workerinput["ignored"] = IGNORED


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, file by file: what is short fills the cores at the end."""
    items.sort(key=lambda item: slow_first(item.path))


def pytest_collection_finish() -> None:
    """Leave the tests out of every later search for garbage: they are most of what there is, and stay."""
    gc.collect()
    gc.freeze()
    # What a test leaves open in a circle is found while it runs, or soon after.
    gc.set_threshold(*SEARCHES)


@cache
def slow_first(path: Path) -> tuple[int, int]:
    """Return where a file of tests belongs: by SLOWEST, then those whose text names a need of HOW."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    text = path.read_text(encoding="utf-8")
    needs = any(f"pytest.mark.{need}" in text for need in ("jobs", "environment", *HOW))
    return (SLOWEST.index(name) if name in SLOWEST else len(SLOWEST), 0 if needs else 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how busy the cores were, and count the skipped tests by what they need."""
    now = core_times()
    if AT_START and now:
        busy = busy_share(AT_START, now)
        terminalreporter.write_line(f"cores busy: {busy:.0%} of {os.cpu_count()}")
    counts = count_by_need(terminalreporter.stats.get("skipped", []))
    if counts:
        left_out = "; ".join(f"{count} {need} ({HOW[need]})" for need, count in counts.items())
        terminalreporter.write_line(f"not tested on this machine: {left_out}")


def count_by_need(skipped: list[Any]) -> dict[str, int]:
    """Return how many of the skipped tests carry each marker that names a need."""
    found = {need: sum(need in report.keywords for report in skipped) for need in HOW}
    return {need: count for need, count in found.items() if count}


IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 256 << 20


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, or tmp_path: thousands of small files take half a minute on a busy disk."""
    if not os.access(IN_MEMORY, os.W_OK) or shutil.disk_usage(IN_MEMORY).free < ROOM_BYTES:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="assay-test-", dir=IN_MEMORY) as folder:
        yield Path(folder)
