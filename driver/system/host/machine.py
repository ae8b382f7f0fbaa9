"""Facts about this host: processor, memory, kernel, and the repository's commit."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from driver.models.base import Frozen
from driver.system.hashing import file_sha256
from driver.system.host.git import git, is_own_checkout
from driver.system.host.processor import key_values, read_identity, read_processor

LOADED = Path(".assay/bundle/assay-bundle.json")
"""The manifest of the bundle that this tree was loaded from."""


class HostFacts(Frozen):
    """The host facts that the plan needs."""

    threads: int
    memory_bytes: int


def host_facts() -> HostFacts:
    """Return the hardware threads and the bytes of memory that this process may use.

    Affinity and control groups count: a container with half a processor has one thread.
    """
    processor = read_processor()
    return HostFacts(threads=processor.threads, memory_bytes=processor.memory_bytes)


def describe_host(name: str | None = None) -> dict[str, object]:
    """Return the host facts for a result, without user names or addresses.

    ``name`` is the host's name in results: None for the kernel's name, "" to leave it out.
    """
    release = key_values(Path("/etc/os-release"), "=")
    processor = read_processor()
    return {
        "name": (platform.node() if name is None else name) or None,
        "cpu": processor.model,
        "cpu_flags": sorted(read_identity().flags & _RELEVANT_FLAGS),
        "threads": processor.threads,
        "cores_online": processor.threads_online,
        "cpus": processor.cpus,
        "memory_bytes": processor.memory_bytes,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": release.get("PRETTY_NAME", "").strip('"'),
        "python": platform.python_version(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def tree_commit(root: Path) -> str | None:
    """Return the commit of the tree, with ``+changes`` if files differ from it; None outside git.

    For a tree loaded from a bundle it is the bundled commit. None in a repository that is not this
    tree's: one above it, or one that does not have this tree's files.
    """
    # A loaded tree may be inside somebody else's git repository.
    if (root / LOADED).is_file():
        return loaded_commit(root)
    head = git(root, "rev-parse", "HEAD") if is_own_checkout(root) else None
    if head is None:
        return None
    return head + ("+changes" if git(root, "status", "--porcelain", "-uno") else "")


_RELEVANT_FLAGS = frozenset(
    {
        "avx2",
        "fma",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "avx_vnni",
        "amx_tile",
        "amx_bf16",
        "amx_int8",
        "asimd",
        "sve",
    }
)


def loaded_commit(root: Path) -> str | None:
    """Return the commit of a tree loaded from a bundle, with ``+changes`` if files differ from it."""
    try:
        manifest = json.loads((root / LOADED).read_text(encoding="ascii"))
        commit, files = manifest["commit"], manifest["files"]
        tree = {one["path"]: one["sha256"] for one in files if one["path"].startswith("tree/")}
        changed = any(_sha256(root / path[5:]) != digest for path, digest in tree.items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if commit is None:
        return None
    marked = changed and not commit.endswith("+changes")
    return f"{commit}+changes" if marked else str(commit)


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
