"""The report on 100,000 results, and a comparison of two, held to their bounds.

    make bench CASE=report [ARGS="--count 10000 --folder DIR"]

Prints one JSON document; exits 1 where a bound is missed. What this machine cannot measure is null and
named in ``not_measured``: it is not within its bound. The bounds are for two idle cores. The first
report is timed twice: from a cold disk (``cold_s``; the caches are dropped, which only root may do, and
which does nothing for a folder in memory) and from warm caches (``first_s``). ``disk_s`` is
what reading every result.json takes cold, one after the other as `cat` does, ``disk_ratio`` that against
the cold report. ``second_s`` is a report on unchanged results, ``added_s`` one after a result was added to
them. ``compare_s`` is a comparison with its interval, of two results that may be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.system.settings import ROOT
from tests.bench.entry import ended, writable
from tests.bench.report_100k import generate
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUNDS = {
    "cold_s": 10.0,
    "first_s": 10.0,
    "second_s": 1.5,
    "added_s": 1.5,
    "peak_mib": 700.0,
    "html_mb": 6.0,
    "open_s": 3.0,
    "compare_s": 1.0,
}

DROP_CACHES = Path("/proc/sys/vm/drop_caches")

REPORT = """
import gc, json, resource, sys
from pathlib import Path
if __name__ == "__main__":
    from driver.__main__ import OBJECTS_BETWEEN_COLLECTIONS
    from driver.report.build import ReportOptions, report
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    folders = {"out": Path(sys.argv[2]), "home": Path(sys.argv[3])}
    options = ReportOptions(**folders, synthetic=True, every=True)
    made = report([Path(sys.argv[1])], options)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"results": made.results, "own_mib": own / 1024}))
    gc.freeze()  # as driver.__main__ ends
"""
COMPARE = """
import sys
from pathlib import Path
from driver.compare.pairing import compare_paths
made = compare_paths(Path(sys.argv[1]), Path(sys.argv[2])).made[0]
assert made.interval is not None, made.sentence()
"""
FEWEST = 2000
"""Among so many results there are two of one configuration that may be compared."""

IN_MEMORY = ("tmpfs", "ramfs")
LOOK_EVERY_S = 0.1


class Timed(NamedTuple):
    """Wall seconds, output, and the peaks of all processes that the program started, added up, in MiB."""

    wall_s: float
    output: str
    workers_mib: float


def timed(program: str, *arguments: object) -> Timed:
    """Run a program in a fresh interpreter on two cores. Raises CalledProcessError."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(program)
        file.flush()
        two = sorted(os.sched_getaffinity(0))[:2]
        command = [sys.executable, file.name, *map(str, arguments)]
        started = time.perf_counter()
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=lambda: os.sched_setaffinity(0, two),  # noqa: PLW1509  # no thread runs yet
        ) as child:
            waiter = threading.Thread(target=child.wait)
            waiter.start()
            peaks: dict[str, int] = {}
            while waiter.is_alive():
                waiter.join(LOOK_EVERY_S)
                peaks.update(peaks_of_children(child.pid))
            wall_s = time.perf_counter() - started
            assert child.stdout is not None
            output = child.stdout.read()
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command, output)
    return Timed(wall_s, output, sum(peaks.values()) / 1024)


def peaks_of_children(pid: int) -> dict[str, int]:
    """Return the children of a process, each with the most memory that it has had, in KiB.

    Not `ru_maxrss` of its children: that of a process which was forked begins with its parent's.
    """
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text(encoding="ascii").split():
                status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
                # One that has ended and was not waited for has no memory any more.
                if peak := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
                    found[child] = int(peak[1])
    return found


def filesystem(folder: Path) -> str:
    """Return the type of the file system that a folder is on, as stat(1) names it."""
    words = ["stat", "-f", "-c", "%T", str(folder)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def forgotten(tree: Path) -> bool:
    """Empty the system's file caches; return whether that was permitted and the folder is on a disk."""
    if filesystem(tree) in IN_MEMORY:
        return False
    os.sync()
    try:
        DROP_CACHES.write_text("3", encoding="ascii")
    except OSError:
        return False
    return True


def disk_s(tree: Path) -> float:
    """Return the seconds of a plain search and `cat` of every result.json."""
    started = time.perf_counter()
    found = "find . -name result.json -print0 | xargs -0 cat > /dev/null"
    subprocess.run(["/bin/sh", "-c", found], cwd=tree, check=True)
    return time.perf_counter() - started


def cold(tree: Path, out: Path, home: Path) -> dict[str, float]:
    """Time the disk alone and a first report, both from a cold disk; nothing where that is not allowed."""
    if not forgotten(tree):
        return {}
    alone_s = disk_s(tree)
    forgotten(tree)
    cold_s = timed(REPORT, tree, out, home).wall_s
    return {"cold_s": cold_s, "disk_s": alone_s, "disk_ratio": alone_s / cold_s}


def added(tree: Path, out: Path, home: Path, wanted: int) -> float:
    """Return the seconds of a report on the results and a new one, which is removed again."""
    (path,) = generate(tree, 1, first=wanted, seed=1)
    try:
        made = timed(REPORT, tree, out, home)
    finally:
        without(path.parent)
    assert json.loads(made.output)["results"] == wanted + 1, made.output
    return made.wall_s


def without(*folders: Path) -> None:
    """Remove what an earlier report left."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def opened_s(page: Path) -> float | None:
    """Return the seconds until Chromium has all rows and charts, or None where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        return None
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        window = browser.new_page()
        started = time.perf_counter()
        window.goto(page.absolute().as_uri())
        window.wait_for_selector("html[data-filled=true][data-drawn=true]")
        found = time.perf_counter() - started
        browser.close()
    return found


def made_tree(folder: Path, wanted: int) -> Path:
    """Return a tree of ``wanted`` results below ``folder``, made where it is missing.

    It gets its name when it is whole: one that was interrupted, or has another count, is not taken for it.
    """
    tree = folder / f"results-{wanted}"
    if not tree.is_dir():
        part = folder / f"results-{wanted}.part"
        without(part)
        for _ in generate(part, wanted):
            pass
        part.rename(tree)
    return tree


def comparable(tree: Path) -> tuple[Path, Path]:
    """Return two results of one configuration that both count, so that comparing them is the whole work."""
    for folder in sorted(tree.glob("*/*/*")):
        sound: dict[str, Path] = {}
        for path in sorted(folder.glob("*/result.json")):
            body = json.loads(path.read_text(encoding="utf-8"))
            if body["status"] == "ok" and body["weights"] == "published":
                sound.setdefault(body["job"]["chip"], path)
        if len(sound) > 1:
            first, second, *_ = sound.values()
            return first, second
    raise AssertionError(f"no two results in {tree} may be compared")


def measure(root: Path, wanted: int) -> dict[str, Any]:
    """Make the tree where it is missing, then measure all bounds."""
    tree, out, home = made_tree(root, wanted), root / "out", root / "home"
    without(out, home)
    from_disk = cold(tree, out, home)
    without(out, home)
    first = timed(REPORT, tree, out, home)
    second_s = timed(REPORT, tree, out, home).wall_s
    added_s = added(tree, out, home, wanted)
    compare_s = timed(COMPARE, *comparable(tree)).wall_s
    printed = json.loads(first.output)
    return {
        **printed,
        **from_disk,
        "peak_mib": printed["own_mib"] + first.workers_mib,
        "first_s": first.wall_s,
        "second_s": second_s,
        "added_s": added_s,
        "html_mb": (out / "report.html").stat().st_size / 1e6,
        "open_s": opened_s(out / "report.html"),
        "compare_s": compare_s,
        "load_average": os.getloadavg()[0],
    }


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with the names of the bounds that are missed, and of those not measured."""
    measured = {name: found.get(name) for name in BOUNDS}
    return {
        **found,
        **measured,
        "missed": [name for name, value in measured.items() if value and value > BOUNDS[name]],
        "not_measured": [name for name, value in measured.items() if value is None],
    }


def many(text: str) -> int:
    """Read a number of results; ArgumentTypeError for fewer than a comparison needs."""
    number = count(text)
    if number < FEWEST:
        raise argparse.ArgumentTypeError(f"it is {text!r} and must be at least {FEWEST}")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say which bounds are missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=many, default=100_000)
    parser.add_argument("--folder", type=Path, help="kept; without it a temporary one is removed")
    options = parser.parse_args(arguments)
    if options.folder is not None:
        writable(options.folder)
        found = judged(measure(options.folder, options.count))
    else:
        with tempfile.TemporaryDirectory(prefix="assay-bench-") as temporary:
            found = judged(measure(Path(temporary), options.count))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(ended(main))
