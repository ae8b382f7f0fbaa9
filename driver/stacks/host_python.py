"""Inspects an interpreter of this host, and makes the folder from which stages run it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.catalog.catalog import load_catalog
from driver.catalog.found_python import FoundPython
from driver.catalog.found_stack import with_found
from driver.errors import UsageFault
from driver.monitors.sources import STAND_IN_MARK
from driver.system.command import Command, CommandHung
from driver.system.files import draft_mark
from driver.system.hashing import file_sha256, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from driver.catalog.catalog import Catalog
    from driver.system.settings import Settings

OLDEST = (3, 7)
"""The guest's oldest Python."""
ASKING_TIMEOUT_S = 120.0
"""Seconds; a cold start from a cluster's network disk is slow."""
NEEDED = {
    "STACK_PYTHON": ("numpy", "PIL"),
    "REFERENCE_PYTHON": ("numpy", "PIL", "torch", "onnx", "onnxruntime"),
}
"""Packages that the harness and every export need; engines check for their own SDK."""
LOADER = ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH")
"""Variables by which an interpreter that was set up by hand finds its libraries and packages."""
CALLERS_PATH = "ASSAY_CALLERS_PYTHONPATH"
"""Where driver/assay keeps the PYTHONPATH that it was called with, perhaps empty."""
SAID_CHARACTERS = 300

# "" on sys.path is the caller's current directory.
_PROBE = """
import importlib.util, json, platform, sys
sys.path = [folder for folder in sys.path if folder]
print(json.dumps({"version": platform.python_version(), "implementation": platform.python_implementation(),
                  "path": sys.path,
                  "lacks": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]}))
"""


def catalog_here(settings: Settings, environ: Mapping[str, str] | None = None) -> Catalog:
    """Return the catalog, with stacks replaced by STACK_PYTHON and REFERENCE_PYTHON if set."""
    catalog = load_catalog(settings.root, settings.vendor_path, settings.case_path)
    names = [name for one in catalog.vendors.values() for name in one.manifest.host_variables]
    found = {
        variable: None
        if python is None
        else find_host_python(python, variable=variable, names=names, environ=environ)
        for variable, python in (
            ("STACK_PYTHON", settings.stack_python),
            ("REFERENCE_PYTHON", settings.reference_python),
        )
    }
    return with_found(catalog, stack=found["STACK_PYTHON"], reference=found["REFERENCE_PYTHON"])


def find_host_python(
    given: Path,
    *,
    variable: str,
    names: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> FoundPython:
    """Inspect the interpreter ``given``, a program or an environment's folder.

    ``names`` are the caller's variables that stages get, in addition to LOADER. Raises UsageFault,
    naming ``variable``, if it is not a Python, does not answer, is too old, or lacks packages.
    """
    python = given.expanduser().absolute()
    if python.is_dir():
        python = python / "bin" / "python3"
    caller = _as_called(os.environ if environ is None else environ)
    environment = {name: caller[name] for name in (*LOADER, *names) if caller.get(name)}
    # Its own tools (benchmark_app, trtexec) are in the same folder.
    environment["PATH"] = f"{python.parent}{os.pathsep}{caller.get('PATH') or os.defpath}"
    answer = _ask(python, variable, environment)
    version, lacks = str(answer["version"]), answer["lacks"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise UsageFault(
            f"{variable}={given} is Python {version}, but hooks need 3.7 or newer",
            f"name a newer interpreter: {variable}=/opt/venv/bin/python3",
        )
    if lacks:
        raise UsageFault(
            f"{variable}: {python} (Python {version}) lacks {', '.join(lacks)}",
            f"install it there, or name the interpreter of the environment that has the SDK: "
            f"{variable}=/opt/venv/bin/python3",
        )
    folders = [Path(folder) for folder in answer["path"]]
    packages = _packages(folders)
    content = {"version": version, "implementation": answer["implementation"], "packages": packages}
    return FoundPython(
        python=python,
        version=version,
        packages={name: version for name, (version, _) in sorted(packages.items())},
        digest=key_of(content),
        environment=environment,
        stand_in=any(map(is_stand_in_site, folders)) or _has_imitated_tools(environment["PATH"]),
    )


def _as_called(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the caller's own PYTHONPATH: driver/assay sets it for the driver."""
    found = dict(environ)
    if CALLERS_PATH in found:
        found["PYTHONPATH"] = found.pop(CALLERS_PATH)
    return found


def _packages(folders: Iterable[Path]) -> dict[str, tuple[str, str]]:
    """Return name → (version, sha256 of its file list); of duplicates, the one that Python imports."""
    found: dict[str, tuple[str, str]] = {}
    for folder in folders:
        for info in sorted((*folder.glob("*.dist-info"), *folder.glob("*.egg-info"))):
            name, _, version = info.stem.partition("-")
            record = info / "RECORD"
            digest = file_sha256(record) if record.is_file() else ""
            key = name.lower().replace("_", "-")
            # An egg's name ends with the Python version that it was built for.
            found.setdefault(key, (version.partition("-py")[0], digest))
    return found


def is_stand_in_site(folder: Path) -> bool:
    """Whether a folder on sys.path contains a test stand-in for an SDK."""
    return any(folder.glob("assay_standin_*.pth"))


def _has_imitated_tools(path: str) -> bool:
    """Whether a folder on PATH contains test stand-ins for a vendor's tools."""
    return any((Path(folder) / STAND_IN_MARK).exists() for folder in path.split(os.pathsep))


def _ask(python: Path, variable: str, environment: Mapping[str, str]) -> dict[str, Any]:
    remedy = f"name the interpreter itself: {variable}=/opt/venv/bin/python3"
    # Stages do not see the caller's home, hence no packages from `pip install --user`.
    env = {**environment, "HOME": "/nonexistent"}
    asked = Command([str(python), "-B", "-c", _PROBE, *NEEDED[variable]], ASKING_TIMEOUT_S, env=env)
    try:
        answer = asked.run()
    except CommandHung as error:
        raise UsageFault(f"{variable}: {error}", f"run `{python} -V` by hand") from error
    except OSError as error:
        raise UsageFault(f"{variable}: {python}: {error.strerror}", remedy) from error
    if answer.returncode:
        said = " ".join(answer.err.decode("utf-8", "replace").split())[-SAID_CHARACTERS:]
        raise UsageFault(
            f"{variable}: {python} exited with {answer.returncode}: {said or 'it printed nothing'}",
            remedy,
        )
    keys = ("version", "implementation", "path", "lacks")
    try:
        document = json.loads(answer.out)
        return {key: document[key] for key in keys}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageFault(f"{variable}: {python} is not a Python interpreter", remedy) from error


def lay_out_python(found: FoundPython, home: Path) -> Path:
    """Return a folder whose ``bin/python3`` starts that interpreter, to come first on stages' PATH.

    It is a script, not a link: an interpreter finds its packages by the path that starts it. The
    caller's PYTHONPATH comes last, after the hook's own entries.
    """
    lines = ["#!/bin/sh"]
    later = found.environment.get("PYTHONPATH")
    if later:
        lines.append(f'export PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(later)}')
    lines.append(f'exec {shlex.quote(str(found.python))} "$@"')
    script = "\n".join(lines) + "\n"
    name = hashlib.sha256(script.encode()).hexdigest()[:12]
    program = home / "venvs" / f"found-{name}" / "bin" / "python3"
    if not program.is_file() or program.read_text(encoding="utf-8") != script:
        program.parent.mkdir(parents=True, exist_ok=True)
        part = program.with_name(f"python3.{draft_mark()}.part")
        part.write_text(script, encoding="utf-8")
        part.chmod(0o755)
        part.replace(program)
    return program.parent.parent
