"""Runs a stage in Apptainer: its command under the guard that the process runner uses."""

from __future__ import annotations

import os
import sys
import time
from itertools import product
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, ImageFault, stages_in
from driver.models.base import REFERENCE_STAGES
from driver.runners.admission import admit, lent
from driver.runners.apptainer.command import (
    STARTED,
    Asked,
    Folders,
    exec_command,
    guest_variables,
)
from driver.runners.apptainer.program import find_program, other_way
from driver.runners.apptainer.sealing import ASK, NETWORK, parsed
from driver.runners.base import (
    GRACE_S,
    LOG_LIMIT_BYTES,
    Closing,
    Enforced,
    Exit,
    require_hook,
)
from driver.runners.memory import ContainerMemory, MemoryWatch, kernel_oom_kills
from driver.runners.process import SIGKILL_CODE, guarded, watch
from driver.system.command import Command, CommandHung
from driver.system.untrusted.opener import RefusedFile, opened
from driver.system.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.runners.apptainer.program import Program
    from driver.runners.apptainer.sealing import Sealing
    from driver.runners.host_config import Admitted
    from driver.runners.spec import ContainerSpec

FAILED = 255
"""Apptainer's exit code when it cannot start a container."""

ANSWER_S = 300.0
"""A container without FUSE is unpacked before it starts, which takes minutes."""

TELLING_LINES = 3


class ApptainerRunner(Closing):
    """Runs stages in containers of Apptainer, as far sealed off as this user may have them."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._program: Program | None = None
        self._sealings: dict[Path, tuple[Asked, Sealing]] = {}

    def availability(self) -> None:
        """Raise EnvironmentFault where Apptainer is not on PATH, or too old."""
        self._found()

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. What cannot be asked for here is left out, and named in the exit."""
        started = time.monotonic()
        program = self._found()
        require_hook(spec)
        require_sif(spec)
        require_devices_given(spec, program)
        with lent(spec):
            admitted = admit(spec)
            folders = lay_out(spec, admitted)
            asked, sealing = self._sealing(spec, admitted, folders)
            command = _command(spec, admitted, folders, program, asked)
            oom_kills = kernel_oom_kills()
            env = _environment(spec, folders, program)
            with guarded(
                command, env=env, cwd=folders.job, log=log, grace_s=self._grace_s
            ) as guest:
                launched = time.monotonic()
                memory = _memory_watch(spec, guest.pid, limited=asked.limits)
                why = watch(guest, spec, memory, on_tick)
                ended = time.monotonic()
        guest.require_logged()
        if guest.code == FAILED and not (folders.tmp / STARTED).exists():
            raise _not_started(program, _tail(log))
        kernel_killed = guest.code == SIGKILL_CODE and kernel_oom_kills() > oom_kills
        return Exit(
            code=guest.code,
            oom_killed=why == "memory" or (why is None and kernel_killed),
            timed_out=why == "time",
            wall_s=time.monotonic() - started,
            overhead_s=(launched - started) + (time.monotonic() - ended),
            executed_in=str(spec.stack.image),
            enforced=enforced(spec, program, asked, sealing),
            peak_memory_bytes=None if memory is None else memory.peak_bytes or None,
        )

    def _found(self) -> Program:
        if self._program is None:
            self._program = find_program()
        return self._program

    def _sealing(
        self, spec: ContainerSpec, admitted: Admitted, folders: Folders
    ) -> tuple[Asked, Sealing]:
        """Return what may be asked for here, and what a container with it is like; asked once an image.

        Raises EnvironmentFault where no container starts, or one without what every stage needs.
        """
        sif = require_sif(spec)
        if sif not in self._sealings:
            self._sealings[sif] = self._ask(spec, admitted, folders)
            for left in folders.tmp.iterdir():
                left.unlink()
        return self._sealings[sif]

    def _ask(
        self, spec: ContainerSpec, admitted: Admitted, folders: Folders
    ) -> tuple[Asked, Sealing]:
        program, said = self._found(), ""
        env = _environment(spec, folders, program)
        for network, limits in product((True, False), repeat=2):
            asked = Asked(network=network, limits=limits)
            command = _command(spec, admitted, folders, program, asked, ("/bin/sh", "-c", ASK))
            try:
                answer = Command(command, ANSWER_S, env=env).run()
            except (CommandHung, OSError) as error:
                raise _not_started(program, str(error)) from error
            found = parsed(answer.out.decode(errors="replace"))
            if found is not None:
                _require_usable(spec, program, found)
                return asked, found
            # The first, which asks for everything, may only say what cannot be had.
            said = answer.err.decode(errors="replace")
        raise _not_started(program, said)


def require_sif(spec: ContainerSpec) -> Path:
    """Return the stage's SIF. Raises ImageFault where there is none."""
    sif = spec.stack.sif
    if sif is None or not sif.is_file():
        raise ImageFault(
            f"the stage {spec.stage} has no image for Apptainer: {sif or 'none was made'}",
            "type the same command again, which makes it",
        )
    return sif


def require_devices_given(spec: ContainerSpec, program: Program) -> None:
    """Raise EnvironmentFault for devices that only another engine gives."""
    if spec.devices.gpus == "cdi":
        raise EnvironmentFault(
            f"{program.title} gives a container no device by its CDI name "
            f"({', '.join(spec.devices.gpu_ids)})",
            f"use {stages_in('docker')}, or name device nodes under [devices] in vendor.toml",
        )


def lay_out(spec: ContainerSpec, admitted: Admitted) -> Folders:
    """Make the folders of a stage: mount points of everything that it sees, and its /tmp."""
    root = spec.folder / "container"
    remove_tree(root)
    folders = Folders(job=root / "job", empty=root / "empty", scratch=root / "scratch")
    for folder in (root, folders.job, folders.empty, folders.scratch):
        folder.mkdir()
        folder.chmod(0o755)
    for folder in (folders.tmp, folders.scratch / "var_tmp"):
        folder.mkdir()
        # The guest may be another user, where the caller is root.
        folder.chmod(0o1777)
    for mount in admitted.mounts:
        point = folders.job / mount.target
        for parent in reversed(point.relative_to(folders.job).parents[:-1]):
            (folders.job / parent).mkdir(exist_ok=True)
            (folders.job / parent).chmod(0o755)
        point.mkdir() if mount.source.is_dir() else point.touch()
    return folders


def enforced(spec: ContainerSpec, program: Program, asked: Asked, sealing: Sealing) -> Enforced:
    """Return what holds a stage."""
    missing = sealing.not_enforced(len(spec.devices.capabilities))
    return Enforced(
        engine=program.title,
        rootless=sealing.rootless,
        memory="cgroup" if asked.limits else "driver",
        processes="cgroup" if asked.limits else "nobody",
        network=NETWORK not in missing,
        missing=missing,
    )


def _command(
    spec: ContainerSpec,
    admitted: Admitted,
    folders: Folders,
    program: Program,
    asked: Asked,
    argv: tuple[str, ...] = (),
) -> list[str]:
    as_root = os.geteuid() == 0
    command = exec_command(spec, admitted, folders, program, asked=asked, as_root=as_root)
    return [*command[: -len(spec.argv)], *argv] if argv else command


def _environment(spec: ContainerSpec, folders: Folders, program: Program) -> dict[str, str]:
    own = folders.scratch / "own"
    own.mkdir(exist_ok=True)
    return program.environment(own, os.environ) | guest_variables(spec, program)


def _memory_watch(spec: ContainerSpec, pid: int, *, limited: bool) -> MemoryWatch | None:
    """Return what samples the memory of a stage; None for one that measures and that a cgroup limits."""
    if limited and spec.stage not in REFERENCE_STAGES:
        return None
    return ContainerMemory(pid, sys.maxsize if limited else spec.limits.memory_bytes)


def _require_usable(spec: ContainerSpec, program: Program, sealing: Sealing) -> None:
    """Raise EnvironmentFault for a container that lacks what every stage, or this vendor's, needs."""
    if not sealing.has_job:
        raise EnvironmentFault(
            f"{program.title} ignores what is to be mounted in a container",
            "have `user bind control = yes` set in its configuration (apptainer.conf), "
            + other_way(),
        )
    if not sealing.tmp_writable:
        raise EnvironmentFault(
            f"{program.title} gives a container no /tmp to write to",
            f"have `mount tmp = yes` set in its configuration (apptainer.conf), {other_way()}",
        )
    wanted = spec.devices.capabilities
    if sealing.capabilities < len(wanted):
        raise EnvironmentFault(
            f"{program.title} does not give this user the capabilities {', '.join(wanted)}, which "
            "vendor.toml asks for",
            f"have them granted: apptainer capability add --user $USER {','.join(wanted)}; {other_way()}",
        )


def _not_started(program: Program, said: str) -> EnvironmentFault:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return EnvironmentFault(
        f"{program.title} does not start a container here: "
        f"{'; '.join(lines[-TELLING_LINES:]) or 'it says nothing'}",
        "it needs user namespaces, or its set-user-id part (apptainer-suid): see docs/engines.md, "
        + other_way(),
    )


def _tail(log: Path) -> str:
    try:
        with opened(log.parent, log.name, 2 * LOG_LIMIT_BYTES) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return file.read(4096).decode(errors="replace")
    except (RefusedFile, FileNotFoundError):
        return ""
