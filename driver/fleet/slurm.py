"""Talks to Slurm: sbatch, squeue, scancel, and what is known of a task that has ended."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from driver.errors import EnvironmentFault, UsageFault
from driver.models.base import FailureKind
from driver.system.command import Command, CommandHung

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from driver.system.command import Answer

PATIENCE_S = 120.0
"""How long a command of Slurm may take; it retries by itself while the controller restarts."""
LARGEST_ARRAY = 1001
"""Slurm's own default of MaxArraySize."""
COMPLETING = "COMPLETING"
ACTIVE = frozenset(
    {"RUNNING", COMPLETING, "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}
)
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
REASONS: dict[str, FailureKind] = {
    "TIMEOUT": FailureKind.TIMEOUT,
    "DEADLINE": FailureKind.TIMEOUT,
    "OUT_OF_MEMORY": FailureKind.OUT_OF_MEMORY,
    "CANCELLED": FailureKind.INTERRUPTED,
}
"""What a task's last state is recorded as; every other one, as a failure of the host."""
UNREACHABLE = re.compile(
    r"unable to contact|timed out|connection refused|communication|configuration source",
    re.IGNORECASE,
)
QUEUE_FORMAT = "%j|%k|%F|%K|%T|%r|%N"
"""Name, comment (the array's number in the plan), job, indices, state, reason, node."""
OWN_VARIABLES = ("SLURM_CONF", "SLURM_CLUSTERS", "MUNGE_SOCKET")


class SlurmUnreachable(Exception):
    """The controller does not answer now; the text says what the command said."""


class QueuedTask(NamedTuple):
    """A task that the queue still has: waiting where ``node`` is "", ``state`` as Slurm writes it.

    ``array`` is the array's number in the plan of ``sweep``, ``task`` the task's index in the array.
    """

    sweep: str
    array: int
    job: int
    task: int | None
    state: str
    reason: str
    node: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What Slurm knows of a task that it no longer runs; ``state`` is "" where it knows nothing."""

    state: str = ""
    exit_code: str = ""
    node: str = ""

    @property
    def alive(self) -> bool:
        """Whether it has not ended after all."""
        return self.state in ACTIVE or self.state in WAITING

    @property
    def kind(self) -> FailureKind:
        """What a task that left no result is recorded as."""
        return REASONS.get(self.state, FailureKind.HOST)


def require_slurm() -> None:
    """Raise EnvironmentFault unless sbatch, squeue and scancel are on PATH."""
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        raise EnvironmentFault(
            f"RUNNER=slurm needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not on PATH",
            "run this on a login node of the cluster, or use RUNNER=docker, RUNNER=apptainer or "
            "RUNNER=process",
        )


def largest_array() -> int:
    """Return how many tasks one array may have here; raises EnvironmentFault if Slurm does not answer."""
    answer = _asked(["scontrol", "show", "config"])
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer, re.MULTILINE)
    return max(1, int(found[1])) if found else LARGEST_ARRAY


@dataclass(frozen=True, kw_only=True)
class Array:
    """What is submitted: a command for every index, and the array's number in the plan of ``sweep``."""

    sweep: str
    number: int
    command: str
    indices: Sequence[int]
    ask: Sequence[str]
    output: str
    at_once: int | None = None
    after: Sequence[int] = ()
    """Arrays that must have ended before, however they did."""

    def argv(self) -> list[str]:
        """Return the words of the call of sbatch."""
        limit = "" if self.at_once is None else f"%{self.at_once}"
        after = [f"--dependency=afterany:{':'.join(map(str, self.after))}"] if self.after else []
        return [
            "sbatch",
            "--parsable",
            f"--job-name={name_of(self.sweep)}",
            f"--comment={self.number}",
            f"--array={ranges(self.indices)}{limit}",
            f"--output={self.output}",
            "--open-mode=append",
            "--requeue",
            *after,
            *self.ask,
            "--wrap",
            self.command,
        ]


def submit(array: Array, environment: Mapping[str, str]) -> int:
    """Submit an array, whose tasks get ``environment`` alone; return its id.

    Raises UsageFault for options that this Slurm refuses, and EnvironmentFault if it does not answer.
    """
    own = {name: os.environ[name] for name in OWN_VARIABLES if name in os.environ}
    try:
        answer = _run(array.argv(), {**environment, **own})
    except SlurmUnreachable as error:
        raise _no_answer(error) from error
    if answer.returncode == 0:
        return int(answer.out.split(b";")[0])
    said = _said(answer)
    if UNREACHABLE.search(said):
        raise _no_answer(SlurmUnreachable(said))
    raise UsageFault(
        f"Slurm refused the array: {said}",
        "compare [slurm] of assay.local.toml, and [scheduler] of the vendor's vendor.toml, with "
        "what `sinfo -o '%P %G'` lists; then type the same command again",
    )


def queue(sweeps: Iterable[str]) -> list[QueuedTask]:
    """Return the tasks of these sweeps that wait or run: one query, whatever their number.

    Raises SlurmUnreachable if the controller does not answer.
    """
    names = ",".join(name_of(sweep) for sweep in sorted(sweeps))
    answer = _run(["squeue", "--noheader", "--me", f"--format={QUEUE_FORMAT}", f"--name={names}"])
    if answer.returncode != 0:
        raise SlurmUnreachable(_said(answer))
    lines = answer.out.decode(errors="replace").splitlines()
    return [task for line in lines for task in _queued(line)]


def cancel(sweep: str) -> None:
    """Cancel what a sweep has in the queue. Raises EnvironmentFault if Slurm does not answer."""
    try:
        answer = _run(["scancel", "--quiet", "--me", f"--name={name_of(sweep)}"])
    except SlurmUnreachable as error:
        raise _no_answer(error) from error
    if answer.returncode != 0:
        raise _no_answer(SlurmUnreachable(_said(answer)))


def name_of(sweep: str) -> str:
    """Return the name of a sweep's arrays in the queue, by which they are found again."""
    return f"assay-{sweep}"


def ended(job: int) -> dict[int | None, Ended]:
    """Return what Slurm knows of the tasks of an array, by index.

    The controller knows a job for MinJobAge seconds, by default 300; accounting, where it is on, longer.
    """
    known: dict[int | None, Ended] = {}
    columns = "JobID,State,ExitCode,NodeList"
    with suppress(SlurmUnreachable):
        answer = _run(["sacct", "-X", "-n", "-P", "-j", str(job), "-o", columns])
        if answer.returncode == 0:
            known |= dict(map(_accounted, answer.out.decode(errors="replace").splitlines()))
    with suppress(SlurmUnreachable):
        answer = _run(["scontrol", "show", "job", "-o", str(job)])
        if answer.returncode == 0:
            lines = answer.out.decode(errors="replace").splitlines()
            known |= dict(_shown(line) for line in lines if line.strip())
    return known


def _accounted(line: str) -> tuple[int | None, Ended]:
    name, state, exit_code, node = line.split("|")[:4]
    index = name.partition("_")[2]
    # CANCELLED has "by <uid>" behind it.
    known = Ended(state=state.partition(" ")[0], exit_code=exit_code, node=node)
    return (int(index) if index.isdecimal() else None), known


def _shown(line: str) -> tuple[int | None, Ended]:
    found = dict(word.split("=", 1) for word in line.split() if "=" in word)
    index = found.get("ArrayTaskId", "")
    known = Ended(
        state=found.get("JobState", ""),
        exit_code=found.get("ExitCode", ""),
        node=found.get("NodeList", ""),
    )
    return (int(index) if index.isdecimal() else None), known


def details(job_id: str, timeout_s: float = PATIENCE_S) -> str:
    """Return all that `scontrol` shows of a running task, "" if it does not answer."""
    try:
        answer = _run(["scontrol", "show", "job", "-d", "-o", job_id], None, timeout_s)
        return answer.out.decode(errors="replace")
    except SlurmUnreachable:
        return ""


def ranges(indices: Sequence[int]) -> str:
    """Return sorted indices as Slurm takes them: ``0-4,7,9-12``."""
    parts: list[str] = []
    start = previous = None
    for index in [*sorted(indices), None]:
        if previous is not None and index == previous + 1:
            previous = index
            continue
        if start is not None:
            parts.append(str(start) if start == previous else f"{start}-{previous}")
        start = previous = index
    return ",".join(parts)


def _queued(line: str) -> Iterator[QueuedTask]:
    name, array, job, indices, state, reason, node = line.split("|", 6)
    # Somebody else's job may have taken the name.
    if array.isdecimal():
        for index in _indices(indices):
            sweep = name.removeprefix(name_of(""))
            yield QueuedTask(sweep, int(array), int(job), index, state, reason, node)


def _indices(text: str) -> Iterator[int | None]:
    """Yield the indices in ``0-4,7%3`` (the rest of an array that waits), None for ``N/A``."""
    for part in text.partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal():
            yield None
        else:
            yield from range(int(first), int(last if dash else first) + 1)


def _asked(argv: Sequence[str]) -> str:
    try:
        answer = _run(argv)
    except SlurmUnreachable as error:
        raise _no_answer(error) from error
    if answer.returncode != 0:
        raise _no_answer(SlurmUnreachable(_said(answer)))
    return answer.out.decode(errors="replace")


def _run(
    argv: Sequence[str], env: Mapping[str, str] | None = None, timeout_s: float = PATIENCE_S
) -> Answer:
    """Run a command of Slurm; raises SlurmUnreachable if it hangs or is missing."""
    # Without it squeue cuts a long list of indices short, and the tasks after the cut would seem to have ended.
    env = {**(os.environ if env is None else env), "SLURM_BITSTR_LEN": "0", "LC_ALL": "C"}
    try:
        return Command(argv, timeout_s, env=env).run()
    except (CommandHung, OSError) as error:
        raise SlurmUnreachable(f"{argv[0]}: {error}") from error


def _said(answer: Answer) -> str:
    lines = answer.err.decode(errors="replace").strip().splitlines()
    return "; ".join(dict.fromkeys(lines)) or f"exit code {answer.returncode}"


def _no_answer(error: SlurmUnreachable) -> EnvironmentFault:
    return EnvironmentFault(
        f"Slurm does not answer: {error}",
        "check `scontrol ping` and `sinfo`; type the same command again when it answers, which "
        "continues where this one ended",
    )
