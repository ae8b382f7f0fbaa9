"""Where readings come from: a vendor's command and its parser, or the kernel's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from driver.command import Command, CommandHung
from driver.monitors import document, mx_smi, npu_smi, nvidia_smi, xpu_smi
from driver.monitors.proc import ProcSource
from driver.monitors.reading import MonitorFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.models.manifest import MonitorSpec
    from driver.monitors.reading import Reading

PARSERS: dict[str, Callable[[str], tuple[Reading, ...]]] = {
    "nvidia-smi": nvidia_smi.parse,
    "npu-smi": npu_smi.parse,
    "xpu_smi": xpu_smi.parse,
    "mx-smi": mx_smi.parse,
    "json": document.parse,
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "nvidia-smi": nvidia_smi.COMMAND,
    "npu-smi": npu_smi.COMMAND,
    "xpu_smi": xpu_smi.COMMAND,
    "mx-smi": mx_smi.COMMAND,
}
# A stand-in's programs lie beside a file of this name; no vendor ships one.
STAND_IN_MARK = "ASSAY-STANDIN"


class MonitorError(Exception):
    """A monitor gave no reading. ``kind``: missing, hung, exit, format; ``lasting``: asking is idle."""

    def __init__(self, kind: str, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.lasting = lasting


class Source(Protocol):
    """Something that can be asked for readings."""

    def read(self) -> tuple[Reading, ...]:
        """Return the devices as they are now; ``MonitorError`` or ``MonitorFormatError`` otherwise."""


class CommandSource:
    """Runs a command and parses what it prints; killed, with its children, after ``timeout_s``."""

    def __init__(self, command: tuple[str, ...], parser: str, timeout_s: float) -> None:
        self._command = Command(command or COMMANDS[parser], timeout_s)
        self._parse = PARSERS[parser]

    def stop(self) -> None:
        """End the command that another thread waits for, with its children."""
        self._command.stop()

    def read(self) -> tuple[Reading, ...]:
        """Return the devices that the command prints."""
        name = self._command.argv[0]
        if shutil.which(name) is None:
            raise MonitorError("missing", f"{name} is not there or not executable", lasting=True)
        try:
            returncode, out, err = self._command.run()
        except CommandHung as error:
            raise MonitorError("hung", str(error)) from None
        except OSError as error:
            raise MonitorError("missing", f"{name}: {error.strerror}", lasting=True) from None
        if returncode != 0:
            said = (err or out).decode("utf-8", "replace").strip()[:200]
            raise MonitorError("exit", f"{name} exited with {returncode}: {said!r}")
        return self._parse(out.decode("utf-8", "replace"))


def make_source(spec: MonitorSpec) -> Source | None:
    """Return the source that a vendor.toml asks for; None where it asks for none."""
    if spec.parser == "none":
        return None
    if spec.parser == "proc":
        return ProcSource()
    return CommandSource(spec.command, spec.parser, spec.timeout_s)


def command_of(spec: MonitorSpec) -> tuple[str, ...]:
    """Return the command that a vendor.toml asks for; empty where it asks for none."""
    return spec.command or COMMANDS.get(spec.parser, ())


def is_stand_in(command: tuple[str, ...]) -> bool:
    """Tell whether a command is a test's imitation of a vendor's tool."""
    found = shutil.which(command[0]) if command else None
    return found is not None and (Path(found).resolve().parent / STAND_IN_MARK).exists()


__all__ = [
    "COMMANDS",
    "PARSERS",
    "CommandSource",
    "MonitorError",
    "MonitorFormatError",
    "Source",
    "command_of",
    "is_stand_in",
    "make_source",
]
