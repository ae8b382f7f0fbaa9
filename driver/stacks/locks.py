"""Lock files: reading them, and making them from requirements.in (`make lock`).

A lock names every package with its exact version and the sha256 of its files, and nothing of the
machine that made it: no index, no folder. Its first line carries the sha256 of what it was made
from, so that a lock that was forgotten is found by a test.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, ImageFault
from driver.stacks.install.pip_settings import PipConfigUnreadable, pip_settings
from driver.system.offline import require_online
from driver.system.subprocesses import ChildFailed, run_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

HEADER = "# Made by `make lock` from {name} (sha256 {digest}); do not edit."
_HEADER_DIGEST = re.compile(r"\(sha256 ([0-9a-f]{64})\)")
_INCLUDE = re.compile(r"^(?:-r|-c|--requirement|--constraint)[ =](\S+)", re.MULTILINE)
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One package of a lock: ``line`` is its whole requirement, as pip reads it."""

    name: str
    version: str
    hashes: frozenset[str]
    line: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """What wheels must fit: a Python (``3.11``) on a Linux with at least this glibc."""

    python: str
    glibc_minor: int
    arch: str = "x86_64"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the wheel platform tags that fit, newest first."""
        newest_first = range(self.glibc_minor, 4, -1)
        names = [f"manylinux_2_{minor}_{self.arch}" for minor in newest_first]
        old = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        names += [f"{name}_{self.arch}" for minor, name in old.items() if minor <= self.glibc_minor]
        return (*names, f"linux_{self.arch}")


def target_of(python: str) -> Target:
    """Return the target of a stack: vendors' images with an old Python have an old glibc (2.27)."""
    minor = int(python.split(".")[1])
    return Target(python=f"3.{minor}", glibc_minor=28 if minor >= 10 else 17)


def parse_lock(path: Path) -> tuple[Pin, ...]:
    """Read a lock file.

    Raises ImageFault when it is missing or has a package without a version or a hash.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImageFault(f"the lock file {path} cannot be read: {error}", "make lock") from error
    return tuple(_pin(line, path) for line in _logical_lines(text))


def _logical_lines(text: str) -> Iterator[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return (" ".join(line.split()) for line in joined.splitlines() if line.strip())


def _pin(line: str, path: Path) -> Pin:
    found = _PIN.match(line)
    hashes = frozenset(_HASH.findall(line))
    if found is None or not hashes:
        raise ImageFault(
            f"{path} has a line without an exact version and hash: {line[:80]!r}", "make lock"
        )
    return Pin(name=found["name"].lower(), version=found["version"], hashes=hashes, line=line)


def pins_for(pins: Iterable[Pin], target: Target) -> tuple[Pin, ...]:
    """Return the pins whose marker holds on a target: a lock for several systems names all of theirs."""
    environment = {
        "implementation_name": "cpython",
        "platform_machine": target.arch,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "os_name": "posix",
        "sys_platform": "linux",
    }
    from packaging.requirements import Requirement

    markers = ((pin, Requirement(pin.line.partition(" --hash")[0]).marker) for pin in pins)
    return tuple(pin for pin, marker in markers if marker is None or marker.evaluate(environment))


def lock_sha256(path: Path) -> str:
    """Return the sha256 of a lock file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_sha256(requirements: Path) -> str:
    """Return the sha256 over requirements.in and every .in file that it includes."""
    text = requirements.read_bytes()
    digest = hashlib.sha256(text)
    for name in _INCLUDE.findall(text.decode()):
        included = requirements.parent / name
        if included.suffix == ".in":
            digest.update(source_sha256(included).encode())
    return digest.hexdigest()


def is_current(requirements: Path) -> bool:
    """Tell whether the lock beside ``requirements`` was made from it as it is now."""
    lock = requirements.with_suffix(".lock")
    if not lock.is_file():
        return False
    found = _HEADER_DIGEST.search(lock.read_text(encoding="utf-8").partition("\n")[0])
    return found is not None and found[1] == source_sha256(requirements)


def sources(root: Path, vendor_path: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return every requirements.in of the tree, the driver's first (others constrain by its lock).

    ``vendor_path`` are folders of vendors that live elsewhere; their stacks come last.
    """
    own = (root / "driver" / "requirements.in", root / "tests" / "requirements.in")
    stacks = ("images/*/*", "driver/templates/vendor/stack")
    imitated = ("tests/examples/*/images/*", "tests/standins/bases/*")
    found = (
        path
        for pattern in (*stacks, *imitated)
        for path in sorted(root.glob(f"{pattern}/requirements.in"))
    )
    private = (path for folder in vendor_path for path in folder.glob("images/*/requirements.in"))
    return (*own, *found, *sorted(private))


def uv_environment(
    settings: Mapping[str, str], *, more_indexes: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the environment that makes uv ask where pip would ask; ``settings`` are pip's."""
    indexes = [*settings.get("extra-index-url", "").split(), *more_indexes] if more_indexes else []
    wanted = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(indexes),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "SSL_CLIENT_CERT": settings.get("client-cert", ""),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "ALL_PROXY": settings.get("proxy", ""),
    }
    return {**os.environ, **{key: value for key, value in wanted.items() if value}}


def _pip_settings() -> dict[str, str]:
    try:
        return pip_settings()
    except PipConfigUnreadable as error:
        raise EnvironmentFault(
            f"pip's configuration cannot be read: {error}",
            "fix that file, or leave it out: PIP_CONFIG_FILE=/dev/null",
        ) from error


def make_lock(requirements: Path, *, torch_index: str) -> Path:
    """Write the lock beside ``requirements``; raises EnvironmentFault when it cannot be resolved.

    The package index proper is asked first, since it lists every file of a release; pip's extra
    indexes and PyTorch's CPU index (``torch_index``) only when something is not found there.
    """
    require_online(
        f"the lock of {requirements} is not current, and only an index can resolve it",
        "make it where there is a network: make lock",
    )
    arguments = _compile_arguments(requirements)
    settings = _pip_settings()
    try:
        body = _compile(requirements, arguments, uv_environment(settings))
    except ChildFailed:
        wider = uv_environment(settings, more_indexes=(torch_index,))
        try:
            body = _compile(requirements, [*arguments, "--index-strategy=unsafe-best-match"], wider)
        except ChildFailed as error:
            raise EnvironmentFault(
                f"{requirements} could not be resolved: {error.tail}",
                "fix the pins in it, or check pip's settings (pip config list)",
            ) from error
    header = HEADER.format(name=requirements.name, digest=source_sha256(requirements))
    lock = requirements.with_suffix(".lock")
    part = lock.with_suffix(".lock.part")
    part.write_text(f"{header}\n{body}", encoding="utf-8")
    return part.replace(lock)


def _compile_arguments(requirements: Path) -> list[str]:
    stack = requirements.with_name("stack.toml")
    if not stack.is_file():
        return ["--universal", "--python-version=3.11"]
    # A stack runs in its own image: exactly one Python, exactly one platform.
    target = target_of(tomllib.loads(stack.read_text(encoding="utf-8"))["python"])
    platform = f"{target.arch}-manylinux_2_{target.glibc_minor}"
    return [f"--python-version={target.python}", f"--python-platform={platform}"]


def _compile(requirements: Path, arguments: list[str], env: dict[str, str]) -> str:
    from uv import find_uv_bin

    fixed = ["--generate-hashes", "--only-binary=:all:", "--no-header", "--no-annotate", "--quiet"]
    uv = find_uv_bin()
    command = [uv, "pip", "compile", requirements.name, *fixed, *arguments]
    return run_child(command, env=env, cwd=requirements.parent, stdout_only=True)


def lock_all(
    root: Path,
    *,
    torch_index: str,
    on_progress: Callable[[str], None],
    everything: bool = False,
    vendor_path: Iterable[Path] = (),
) -> tuple[Path, ...]:
    """Make every lock whose requirements.in has changed (all with ``everything``); return those made."""
    made = []
    for requirements in sources(root, vendor_path):
        if everything or not is_current(requirements):
            inside = requirements.is_relative_to(root)
            on_progress(f"resolving {requirements.relative_to(root) if inside else requirements}")
            made.append(make_lock(requirements, torch_index=torch_index))
    return tuple(made)
