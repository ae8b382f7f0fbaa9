"""Bundle, verify and load against `sha256sum` on the same files, as ratios, with the peak memory of each.

    make bench CASE=bundle [ARGS="--gigabytes 10 --folder DIR"]

Prints one JSON document; exits 1 where a bound is missed. The files are random bytes: one of half the
size and many of 64 MB. A ratio of 1 is as fast as `sha256sum`. Each step is timed once as a process of its
own, imports included, with the files in the page cache where they fit there; ``bundle`` hashes everything
(its memory of digests is empty) and writes the archive.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.settings import ROOT
from driver.system.workspace import require_free
from tests.bench.entry import ended, writable

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_RATIO = 0.5
MOST_MIB = 300.0
PIECE_BYTES = 64 << 20
COPIES = 3
"""Of the files: themselves or what is loaded, the bundle, and room."""

BUNDLE = """
import sys
from pathlib import Path
from driver.bundle.contents import folder_contents, hash_contents, ordered
from driver.bundle.loader_zip import loader_zip
from driver.bundle.writer import Plan, make_manifest, write_bundle
import platform
source, out, memory = map(Path, sys.argv[1:4])
contents = ordered(folder_contents(source, "home/datasets/bench", "data"))
files = hash_contents(contents, memory=memory, known={}, on_done=lambda one: None)
document = {"schema": "assay/bundle/1", "assay": "0", "commit": None, "machine": platform.machine(),
            "python": "3.11", "cases": [], "stacks": [], "images": [], "results": [], "licences": [],
            "elsewhere": []}
raw, digest = make_manifest(document, files, loader_zip())
plan = Plan(manifest=raw, digest=digest, files=files, loader=loader_zip())
write_bundle(plan, out, volume_bytes=None, on_progress=lambda done, total: None)
"""


# In a small process of its own: Linux counts what a process had before it called exec, which is the memory of
# whoever started it.
TIMED = """
import os, subprocess, sys, time
started = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def make_files(folder: Path, total_bytes: int) -> None:
    """Write random files of ``total_bytes`` together: one of half of them, the rest in pieces."""
    folder.mkdir(parents=True)
    sizes = [total_bytes // 2]
    while (left := total_bytes - sum(sizes)) > 0:
        sizes.append(min(PIECE_BYTES, left))
    for number, size in enumerate(sizes):
        with (folder / f"{number:04d}.bin").open("wb") as stream:
            for start in range(0, size, PIECE_BYTES):
                stream.write(os.urandom(min(PIECE_BYTES, size - start)))


def timed(command: Sequence[str], cwd: Path) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory, MiB. CalledProcessError where it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", TIMED, *command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        text=True,
    )
    seconds, peak_kib, code = done.stdout.split()
    if int(code) != 0:
        raise subprocess.CalledProcessError(int(code), list(command))
    return float(seconds), int(peak_kib) / 1024


def measure(folder: Path, total_bytes: int) -> dict[str, float]:
    """Return seconds and peak memory of each step below ``folder``, and its ratio to sha256sum."""
    files, bundle = folder / "files", folder / "b.assay"
    make_files(files, total_bytes)
    python = sys.executable
    names = sorted(path.name for path in files.iterdir())
    found = {"sha256sum_s": timed(["sha256sum", *names], files)[0]}
    steps = {
        "bundle": [python, "-c", BUNDLE, str(files), str(bundle), str(folder / "memory")],
        "verify": [python, str(bundle), "verify"],
        "load": [python, str(bundle), "load", "--into", str(folder / "loaded")],
    }
    for name, command in steps.items():
        seconds, peak_mib = timed(command, folder)
        found[f"{name}_s"], found[f"{name}_peak_mib"] = seconds, peak_mib
        found[f"{name}_ratio"] = found["sha256sum_s"] / seconds
        if name == "bundle":
            shutil.rmtree(files)
    return found


def missed(found: dict[str, float]) -> list[str]:
    """Return the names of figures that miss their bound."""
    slow = [key for key, value in found.items() if key.endswith("_ratio") and value < LEAST_RATIO]
    large = [key for key, value in found.items() if key.endswith("_mib") and value > MOST_MIB]
    return slow + large


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the document, and return 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description="bundle, verify and load against sha256sum")
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the files lie")
    asked = parser.parse_args(arguments)
    total_bytes = int(asked.gigabytes * 1e9)
    if asked.folder is not None:
        writable(asked.folder)
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="assay-bench-") as folder:
        require_free(Path(folder), COPIES * total_bytes, what="this bench")
        found = measure(Path(folder), total_bytes)
    late = missed(found)
    rounded = {key: round(value, 3) for key, value in found.items()}
    print(json.dumps({"bytes": total_bytes, **rounded, "missed": late}, indent=1))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(ended(main))
