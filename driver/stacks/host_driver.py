"""The vendor's host driver: its version, compared with what a stack needs."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.system.command import Command, CommandHung

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.models.vendor import DriverRequirement

COMMAND_TIMEOUT_S = 15.0
SAID_CHARACTERS = 200
VERSION = r"(\d+(?:\.\d+)+(?:\.?rc\d+)?)"


@dataclass(frozen=True, kw_only=True)
class DriverFact:
    """The vendor's host driver. ``said``: the line with the version, or why ``version`` is None."""

    requirement: DriverRequirement
    version: str | None
    said: str
    hung: bool = False

    def provenance(self) -> dict[str, str | None]:
        """Return the driver's entry in a result."""
        return {"version": self.version, "minimum": self.requirement.minimum}


def ask(requirement: DriverRequirement) -> DriverFact:
    """Return the host driver's version by the vendor's command; failures are returned, not raised."""
    if not requirement.command:
        said = "vendor.toml names no command that prints the driver's version"
        return DriverFact(requirement=requirement, version=None, said=said)
    name = requirement.command[0]
    try:
        answer = Command(requirement.command, COMMAND_TIMEOUT_S).run()
    except FileNotFoundError:
        return DriverFact(requirement=requirement, version=None, said=f"{name} is not there")
    except CommandHung as error:
        return DriverFact(requirement=requirement, version=None, said=str(error), hung=True)
    except OSError as error:
        return DriverFact(requirement=requirement, version=None, said=f"{name}: {error.strerror}")
    out, err = (text.decode("utf-8", "replace") for text in (answer.out, answer.err))
    found = found_in(out, requirement.pattern)
    if answer.returncode and found is not None and found[0] != found[1].strip():
        # An error message may contain a library's version. After nvidia-smi's exit code 14 (corrupted
        # infoROM) the answer is still there: a line with the version alone.
        found = None
    if found is None:
        said = _said(name, answer.returncode, err.strip() or out.strip(), requirement.pattern)
        return DriverFact(requirement=requirement, version=None, said=said)
    version, line = found
    return DriverFact(requirement=requirement, version=version, said=f"{name} printed {line!r}")


def _said(name: str, returncode: int, printed: str, pattern: str | None) -> str:
    text = " ".join(printed.split())[:SAID_CHARACTERS]
    if returncode:
        return text or f"{name} exited with {returncode} and printed nothing"
    wanted = "no version" if pattern is None else f"nothing that matches the pattern {pattern!r}"
    return f"{name} printed {wanted}: {text!r}" if text else f"{name} printed nothing"


def found_in(text: str, pattern: str | None = None) -> tuple[str, str] | None:
    """Return the version in a command's output, and its line; None without one.

    Without a pattern, the first text like a version: ``22.0.2``, ``535.104.05``, ``5.1.RC1``.
    """
    for line in text.splitlines():
        found = re.search(pattern or VERSION, line, re.IGNORECASE if pattern is None else 0)
        if found and found[1]:
            return found[1], " ".join(line.split())[:SAID_CHARACTERS]
    return None


def is_at_least(version: str, minimum: str) -> bool | None:
    """Whether a version is at least another; None if either is not a version."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) >= Version(minimum)
    except InvalidVersion:
        return None


def is_enough(version: str, requirement: DriverRequirement) -> bool | None:
    """Whether a driver is new enough, or recent enough in an older branch that the vendor supports.

    None if the versions cannot be compared.
    """
    if is_at_least(version, requirement.minimum) is not False:
        return is_at_least(version, requirement.minimum)
    return any(
        version.partition(".")[0] == branch.partition(".")[0] and is_at_least(version, branch)
        for branch in requirement.older_branches
    )


def needed(requirement: DriverRequirement) -> str:
    """Return the requirement as text: ``530.30.02, or 470.57 or later of 470``."""
    branches = [
        f"{name} or later of {name.partition('.')[0]}" for name in requirement.older_branches
    ]
    return ", or ".join((requirement.minimum, *branches))


def require(requirement: DriverRequirement, stack: str) -> DriverFact:
    """Return the driver; EnvironmentFault if the vendor's documentation says that it is too old.

    An unknown version, for example because the tool is not on PATH, is accepted: `make doctor` lists
    it.
    """
    fact = ask(requirement)
    too_old = fact.version is not None and is_enough(fact.version, requirement) is False
    if not too_old or not requirement.documented:
        return fact
    raise EnvironmentFault(
        f"the host driver {fact.version} is older than the stack {stack} needs: "
        f"{needed(requirement)} ({fact.said})",
        f"{install(requirement)}, or choose a stack that supports it: STACK=<name>",
    )


def remedy(fact: DriverFact) -> str:
    """Return the remedy for a driver of unknown version."""
    return hangs(fact.requirement.command) if fact.hung else install(fact.requirement)


def hangs(command: Sequence[str]) -> str:
    """Return the remedy for a vendor's tool that hangs."""
    return (
        f"run `{shlex.join(command)}` by hand; if it hangs too, reset the device, reload the vendor's "
        "kernel driver, or restart this host"
    )


def install(requirement: DriverRequirement) -> str:
    """Return the remedy for a driver that is missing or too old."""
    source = f" ({requirement.source})" if requirement.source else ""
    return f"install the vendor's host driver {requirement.minimum} or newer{source}"
