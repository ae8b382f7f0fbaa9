"""The checks of a vendor's folders that do not run its code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from driver.catalog.hook import calls_harness
from driver.check.guest_code import check_module, defined_names, python_of
from driver.check.manifests import check_manifest
from driver.check.marks import MARK, check_marks
from driver.check.stacks import check_stacks
from driver.doctor.finding import failed, note, ok
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog.vendor import Vendor
    from driver.check.guest_code import Python
    from driver.doctor.finding import Finding

HOOK_LINES = '#!/bin/sh\\nset -eu\\nPYTHONPATH="$2" exec python3 -B -m harness "$1" "$2"'


def check_vendor(vendor: Vendor) -> list[Finding]:
    """Return the findings about a vendor's folders, in the order in which to fix them."""
    return [
        *(finding for one in vendor.hardware for finding in check_manifest(one)),
        *_hook(vendor.folder),
        *_engines(vendor),
        *check_stacks(vendor),
        *_notes(vendor),
        *check_marks(*_folders(vendor)),
    ]


def oldest_python(vendor: Vendor) -> Python:
    """Return the oldest Python of a vendor's stacks, on which its code must run."""
    return min(python_of(stack.manifest.python) for stack in vendor.stacks.values())


def _folders(vendor: Vendor) -> list[Path]:
    """Return the vendor's folder, and those of its images if they are outside it."""
    images = {stack.folder.parent for stack in vendor.stacks.values()}
    return [vendor.folder, *sorted(path for path in images if vendor.folder not in path.parents)]


def _hook(folder: Path) -> Iterator[Finding]:
    hook = folder / "hook"
    if not hook.is_file():
        yield failed("hook", "it is missing", f"printf '{HOOK_LINES}\\n' > {hook}; chmod +x {hook}")
    elif not os.access(hook, os.X_OK):
        yield failed("hook", "it is not executable", f"chmod +x {hook}")
    elif not hook.read_bytes().startswith((b"#!", b"\x7fELF")):
        yield failed("hook", "its first line names no interpreter", "start it with: #!/bin/sh")
    else:
        yield ok("hook", "executable")


def _engines(vendor: Vendor) -> Iterator[Finding]:
    if not vendor.stacks:
        yield failed(
            "stacks",
            "the vendor has none",
            "add images/<stack>/stack.toml, Dockerfile and requirements.in",
        )
        return
    python = oldest_python(vendor)
    modules = [
        path
        for path in sorted(vendor.folder.rglob("*.py"))
        if path.relative_to(vendor.folder).parts[0] not in ("images", "tests")
    ]
    problems = [
        finding
        for path in modules
        for finding in check_module(path, path.relative_to(vendor.folder).as_posix(), python)
    ]
    # A hook that implements every stage itself, in any language, needs no engines/.
    if calls_harness(vendor.folder):
        problems += _engine_files(vendor)
    yield from problems
    if not problems and modules:
        yield ok(
            "guest code",
            f"{counted(len(modules), 'file')} valid under Python {python[0]}.{python[1]}",
        )


def _engine_files(vendor: Vendor) -> Iterator[Finding]:
    engines = [pair for one in vendor.hardware for pair in one.manifest.engines.items()]
    for name, engine in engines:
        if engine.harness_engine is not None:
            continue
        path = vendor.folder / "engines" / f"{re.sub(r'[^0-9a-z_]', '_', name)}.py"
        what = f"engine {name}"
        if not path.is_file():
            yield failed(what, f"{path.name} is not in engines/", f"write {path}")
        elif "ENGINE" not in defined_names(path):
            yield failed(
                what, f"{path.name} does not define ENGINE", "end it with: ENGINE = <your class>"
            )


def _notes(vendor: Vendor) -> Iterator[Finding]:
    licence = vendor.manifest.licence.strip()
    # An unfilled licence is listed with the other marks.
    if licence and not MARK.search(licence):
        yield ok("licence", licence)
    elif not licence:
        yield failed(
            "licence",
            "vendor.toml names none",
            'add: licence = "<licences of the SDK and of the software in the images>"',
        )
    readme = vendor.folder / "README.md"
    if not readme.is_file():
        yield failed(
            "README.md",
            "it is missing",
            f"write {readme}: chips, where to get drivers and installers, what is special",
        )
    yield from _programs(vendor)
    for one in vendor.hardware:
        if one.manifest.monitor.parser == "none":
            yield note(
                one.table("monitor"),
                "none, so results have no memory, power or temperature",
                f"name one under [{one.table('monitor')}] in vendor.toml",
            )


def _programs(vendor: Vendor) -> Iterator[Finding]:
    """Check the programs in the vendor's folder that [monitor] and [drivers] name."""
    named = {one.table("monitor"): one.manifest.monitor.command for one in vendor.hardware}
    drivers = vendor.manifest.drivers
    named |= {f"drivers.{stack}": needed.command for stack, needed in drivers.items()}
    for key, command in named.items():
        program = Path(command[0]) if command else None
        if program is None or vendor.folder.absolute() not in program.parents:
            continue
        name = program.relative_to(vendor.folder.absolute())
        if not os.access(program, os.X_OK):
            yield failed(f"{key}: {name}", "it is missing or not executable", f"chmod +x {program}")
