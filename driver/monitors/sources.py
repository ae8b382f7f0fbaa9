"""Where readings come from: a vendor's command and its parser, or the kernel's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from driver.monitors import amd_smi, document, ixsmi, mx_smi, npu_smi, nvidia_smi, xpu_smi
from driver.monitors.proc import ProcSource
from driver.monitors.reading import MonitorFormatError, Readings, remarks_of
from driver.system.command import Answer, Command, CommandHung

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.models.vendor import MonitorSpec
    from driver.monitors.reading import Reading

PARSERS: dict[str, Callable[[str], tuple[Reading, ...]]] = {
    "nvidia-smi": nvidia_smi.parse,
    "npu-smi": npu_smi.parse,
    "xpu_smi": xpu_smi.parse,
    "mx-smi": mx_smi.parse,
    "ixsmi": ixsmi.parse,
    "json": document.parse,
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "nvidia-smi": nvidia_smi.COMMAND,
    "npu-smi": npu_smi.COMMAND,
    "xpu_smi": xpu_smi.COMMAND,
    "mx-smi": mx_smi.COMMAND,
    "ixsmi": ixsmi.COMMAND,
    "amd-smi": amd_smi.COMMAND,
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
        answer = _answer(self._command)
        text = answer.out.decode("utf-8", "replace")
        if answer.returncode == 0:
            return self._parse(text)
        try:
            readings = self._parse(text)
        except MonitorFormatError:
            raise _exited(self._command, answer) from None
        # Some exit codes concern a part of one device: nvidia-smi exits with 14 when the infoROM is
        # corrupted, although every figure is there (its manual, RETURN VALUE).
        name = self._command.argv[0]
        remarks = (*remarks_of(readings), f"{name} exited with {answer.returncode}")
        return Readings(readings, remarks)


class AmdSmiSource:
    """Calls amd-smi: for the names of the devices once, for their figures at every reading."""

    def __init__(self, command: tuple[str, ...], timeout_s: float) -> None:
        program = command or amd_smi.COMMAND
        self._list, self._static, self._metric = (
            Command((*program, *words), timeout_s)
            for words in (amd_smi.LIST, amd_smi.STATIC, amd_smi.METRIC)
        )
        self._known: dict[int, amd_smi.Identity] = {}

    def stop(self) -> None:
        """Kill the command that another thread waits for, with its children."""
        for command in (self._list, self._static, self._metric):
            command.stop()

    def read(self) -> tuple[Reading, ...]:
        """Return the devices that the commands print."""
        if not self._known:
            listed = _answer(self._list)
            text = listed.out.decode("utf-8", "replace") if listed.returncode == 0 else None
            self._known = amd_smi.identities(text, _printed(self._static))
        return amd_smi.parse(_printed(self._metric), self._known)


def _printed(command: Command) -> str:
    """Return what a command that must succeed printed."""
    answer = _answer(command)
    if answer.returncode != 0:
        raise _exited(command, answer)
    return answer.out.decode("utf-8", "replace")


def _answer(command: Command) -> Answer:
    """Run a command; MonitorError if it is missing or does not answer."""
    name = command.argv[0]
    if shutil.which(name) is None:
        raise MonitorError("missing", f"{name} is missing or not executable", lasting=True)
    try:
        return command.run()
    except CommandHung as error:
        raise MonitorError("hung", str(error)) from None
    except OSError as error:
        raise MonitorError("missing", f"{name}: {error.strerror}", lasting=True) from None


def _exited(command: Command, answer: Answer) -> MonitorError:
    said = (answer.err or answer.out).decode("utf-8", "replace").strip()[:200]
    return MonitorError("exit", f"{command.argv[0]} exited with {answer.returncode}: {said!r}")


def make_source(spec: MonitorSpec) -> Source | None:
    """Return the source that vendor.toml names, None for parser "none"."""
    if spec.parser == "none":
        return None
    if spec.parser == "proc":
        return ProcSource()
    if spec.parser == "amd-smi":
        return AmdSmiSource(spec.command, spec.timeout_s)
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
    "AmdSmiSource",
    "CommandSource",
    "MonitorError",
    "MonitorFormatError",
    "Source",
    "command_of",
    "is_stand_in",
    "make_source",
]
