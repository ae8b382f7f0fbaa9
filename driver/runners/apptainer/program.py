"""The installed Apptainer or SingularityCE: its version, and the environment in which it is called."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, stages_in
from driver.system.command import Command, CommandHung

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = ("apptainer", "singularity")
"""What is looked for on PATH. Sites with Apptainer often have its old name too."""

VERSION = re.compile(r"^(apptainer|singularity-ce|singularity) version v?(\d+\.\d+\S*)")
FLAVOURS = {"apptainer": "Apptainer", "singularity-ce": "SingularityCE"}
OLDEST = {"apptainer": (1, 2, 1), "singularity-ce": (4, 0, 0)}
"""The first releases with everything that a stage's command uses. Apptainer 1.2.0 sets up a network with
too many privileges (GHSA-mmx5-32m4-wxvx)."""

PATIENCE_S = 60.0
ITS_OWN = ("PATH", "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""The caller's variables that it gets: the last two reach the user's systemd, which makes cgroups for it."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """An installed program: its path, and what it says it is. ``version``: "1.3.4-1"."""

    path: str
    flavour: str
    version: str

    @property
    def title(self) -> str:
        """Return its name for people: "Apptainer 1.3.4"."""
        return f"{FLAVOURS[self.flavour]} {self.version}"

    @property
    def prefix(self) -> str:
        """Return what the names of its variables start with."""
        return "APPTAINER" if self.flavour == "apptainer" else "SINGULARITY"

    def environment(self, tmp: Path, caller: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that it is called with; ``tmp`` is for its temporary files.

        None of the caller's own options for it (APPTAINER_BIND, APPTAINERENV_…): they would add files
        and variables to a stage.
        """
        own = {name: caller[name] for name in ITS_OWN if name in caller}
        return own | {
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(tmp),
            f"{self.prefix}_TMPDIR": str(tmp),
            f"{self.prefix}_CACHEDIR": str(tmp / "cache"),
            f"{self.prefix}_DISABLE_CACHE": "1",
        }


def other_way() -> str:
    """Return the end of a remedy: what needs no Apptainer."""
    return f"or use {stages_in('docker', 'process')}"


def find_program() -> Program:
    """Return the program on PATH. Raises EnvironmentFault where there is none, or only an older one."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise EnvironmentFault(
            f"{stages_in('apptainer')} needs `apptainer` (or `singularity`), which is not on PATH",
            f"load its module (module load apptainer), or have it installed, {other_way()}",
        )
    found = parsed(path, _said(path))
    if release(found.version) < OLDEST[found.flavour]:
        oldest = ".".join(map(str, OLDEST[found.flavour]))
        raise EnvironmentFault(
            f"{path} is {found.title}, and {FLAVOURS[found.flavour]} {oldest} or newer is needed",
            f"load a newer module, or have a newer one installed, {other_way()}",
        )
    return found


def parsed(path: str, said: str) -> Program:
    """Return the program by what `--version` printed. Raises EnvironmentFault for another program."""
    found = VERSION.match(said)
    if found is None or found[1] not in FLAVOURS:
        raise EnvironmentFault(
            f"{path} is neither Apptainer nor SingularityCE: it says {said.strip() or 'nothing'!r}",
            f"put Apptainer 1.3 or newer first on PATH, {other_way()}",
        )
    return Program(path=path, flavour=found[1], version=found[2])


def release(version: str) -> tuple[int, ...]:
    """Return the three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _said(path: str) -> str:
    try:
        answer = Command([path, "--version"], PATIENCE_S, env=os.environ).run()
    except (CommandHung, OSError) as error:
        raise EnvironmentFault(
            f"{path} cannot be used: {error}", f"run {path} --version by hand, {other_way()}"
        ) from error
    return answer.out.decode(errors="replace")
