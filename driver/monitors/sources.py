"""Where readings come from: a vendor's command and its parser, or the kernel's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from driver.monitors import document, mx_smi, npu_smi, nvidia_smi, xpu_smi
from driver.monitors.proc import ProcSource
from driver.monitors.reading import MonitorFormatError, Readings, remarks_of
from driver.system.command import Command, CommandHung

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.models.vendor import MonitorSpec
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
# Marks the folder of a stand-in's programs; no vendor ships a file of this name.
STAND_IN_MARK = "ASSAY-STANDIN"


class MonitorError(Exception):
    """A monitor gave no reading. ``kind``: missing, hung, exit, format. ``lasting``: never retry."""

    def __init__(self, kind: str, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.lasting = lasting


class Source(Protocol):
    """A source of readings."""

    def read(self) -> tuple[Reading, ...]:
        """Return the devices' current state. Raises ``MonitorError`` or ``MonitorFormatError``."""


class CommandSource:
    """Runs a command and parses its output; kills it, with its children, after ``timeout_s``."""

    def __init__(self, command: tuple[str, ...], parser: str, timeout_s: float) -> None:
        self._command = Command(command or COMMANDS[parser], timeout_s)
        self._parse = PARSERS[parser]

    def stop(self) -> None:
        """Kill the command that another thread waits for, with its children."""
        self._command.stop()

    def read(self) -> tuple[Reading, ...]:
        """Return the devices that the command prints."""
        name = self._command.argv[0]
        if shutil.which(name) is None:
            raise MonitorError("missing", f"{name} is missing or not executable", lasting=True)
        try:
            returncode, out, err = self._command.run()
        except CommandHung as error:
            raise MonitorError("hung", str(error)) from None
        except OSError as error:
            raise MonitorError("missing", f"{name}: {error.strerror}", lasting=True) from None
        text = out.decode("utf-8", "replace")
        if returncode == 0:
            return self._parse(text)
        said = (err or out).decode("utf-8", "replace").strip()[:200]
        try:
            readings = self._parse(text)
        except MonitorFormatError:
            raise MonitorError("exit", f"{name} exited with {returncode}: {said!r}") from None
        # Some exit codes concern a part of one device: nvidia-smi exits with 14 when the infoROM is
        # corrupted, although every figure is there (its manual, RETURN VALUE).
        remarks = (*remarks_of(readings), f"{name} exited with {returncode}")
        return Readings(readings, remarks)


def make_source(spec: MonitorSpec) -> Source | None:
    """Return the source that vendor.toml names, None for parser "none"."""
    if spec.parser == "none":
        return None
    if spec.parser == "proc":
        return ProcSource()
    return CommandSource(spec.command, spec.parser, spec.timeout_s)


def command_of(spec: MonitorSpec) -> tuple[str, ...]:
    """Return the command that vendor.toml or its parser names; empty without one."""
    return spec.command or COMMANDS.get(spec.parser, ())


def is_stand_in(command: tuple[str, ...]) -> bool:
    """Whether a command is a test stand-in for a vendor's tool."""
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
