"""A sweep on a scheduler: choices become tasks, and tasks that ask for the same become arrays. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.models.sweep import SweepArray, SweepTask
from driver.plan.tiers import choose_golden_count
from driver.system.hashing import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.plan.choice import Choice
    from driver.system.settings import SlurmSettings

KEY_CHARACTERS = 32
EXPORTED = ("case", "harness", "reference", "reference_stack", "weights", "data")
"""What of a job's inputs its exported model and golden outputs are made of."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A choice to run, and digests of what it is made of, by name.

    ``made_of`` has EXPORTED, ``hook`` and ``stack``. ``inside`` is INSIDE, "" where the node decides.
    """

    choice: Choice
    made_of: Mapping[str, str]
    inside: str = ""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Tasks and their arrays: the exports first, then one kind of device after the other."""

    tasks: tuple[SweepTask, ...]
    arrays: tuple[SweepArray, ...]


Kind = tuple[str, tuple[str, ...]]
"""A kind of device for people, and the options of sbatch that allocate it."""


def plan_tasks(
    wanted: Sequence[Wanted], slurm: SlurmSettings, *, largest_array: int, again: str = ""
) -> Planned:
    """Return the tasks of a sweep and their arrays, each of at most ``largest_array`` tasks.

    Equal jobs become one task. ``again`` makes tasks other ones than those of an earlier sweep.
    """
    exports: dict[str, SweepTask] = {}
    numbers: dict[str, int] = {}
    kinds: defaultdict[Kind, dict[str, SweepTask]] = defaultdict(dict)
    # Thousands of jobs share some exports and kinds of device, each resolved once.
    seen: dict[tuple[object, ...], str] = {}
    known: dict[tuple[str, str, str], Kind] = {}
    for one in wanted:
        choice = one.choice
        shared = _shared(one)
        if shared not in seen:
            seen[shared] = _key(_export_identity(one), again)
        export = seen[shared]
        number = numbers.setdefault(export, len(numbers))
        if export not in exports:
            exports[export] = _task(one, export, None)
        device = (choice.vendor.name, choice.chip_name, choice.request.device)
        if device not in known:
            known[device] = kind_of(choice, slurm)
        key = _key(_job_identity(one, export), again)
        kinds[known[device]].setdefault(key, _task(one, key, number))
    tasks = list(exports.values())
    arrays = _split("exports", 0, len(tasks), _ask_of_exports(slurm), largest_array, exports=True)
    for (title, ask), members in sorted(kinds.items()):
        arrays += _split(title, len(tasks), len(members), ask, largest_array)
        tasks += members.values()
    return Planned(tasks=tuple(tasks), arrays=tuple(arrays))


def kind_of(choice: Choice, slurm: SlurmSettings) -> Kind:
    """Return the kind of device of a job, for people, and the options of sbatch that allocate it."""
    gres = gres_of(choice, slurm)
    exclusive = choice.vendor.manifest.scheduler.exclusive or choice.vendor.manifest.runs_on_host
    ask = [*_common(slurm), *slurm.options]
    ask += [f"--gres={gres}"] if gres else []
    ask += ["--exclusive"] if exclusive else []
    return f"{choice.vendor.name} {choice.chip_name}", tuple(ask)


def gres_of(choice: Choice, slurm: SlurmSettings) -> str:
    """Return the generic resource that a job needs, "" for none: the lab's own, else vendor.toml's."""
    template = slurm.gres.get(choice.chip_name, slurm.gres.get(choice.vendor.name))
    if template is None:
        template = choice.vendor.manifest.scheduler.gres
    chip = re.sub(r"[^a-z0-9]+", "_", choice.chip_name.lower()).strip("_")
    count = len([part for part in choice.request.device.split(",") if part.strip()])
    return template.replace("{chip}", chip).replace("{count}", str(count))


def _common(slurm: SlurmSettings) -> list[str]:
    named = {
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "time": slurm.time,
        "mem": slurm.memory,
        "cpus-per-task": slurm.cpus,
    }
    return [f"--{name}={value}" for name, value in named.items() if value is not None]


def _ask_of_exports(slurm: SlurmSettings) -> tuple[str, ...]:
    return (*_common(slurm), *(slurm.exports or slurm.options))


def _split(
    title: str,
    first: int,
    count: int,
    ask: tuple[str, ...],
    largest: int,
    *,
    exports: bool = False,
) -> list[SweepArray]:
    return [
        SweepArray(
            title=title,
            first=start,
            count=min(largest, first + count - start),
            ask=ask,
            exports=exports,
        )
        for start in range(first, first + count, largest)
    ]


def _key(identity: Mapping[str, Any], again: str) -> str:
    return key_of({**identity, "again": again} if again else identity)[:KEY_CHARACTERS]


def _job_identity(one: Wanted, export: str) -> dict[str, Any]:
    choice = one.choice
    scenario = choice.scenario
    return {
        **({} if scenario is None else {"scenario": scenario.model_dump()}),
        "export": export,
        "vendor": choice.vendor.name,
        "hook": one.made_of["hook"],
        "stack": one.made_of["stack"],
        "engine": choice.engine_name,
        "precision": choice.precision_name,
        "batch": choice.batch_size,
        "chip": choice.chip_name,
        "devices": choice.request.device,
        "tier": choice.tier,
        "measure": choice.measure.model_dump(),
        "inside": one.inside,
    }


def _shared(one: Wanted) -> tuple[object, ...]:
    """Return what tells one export from another, without hashing it."""
    request, needs, measure = one.choice.request, one.choice.engine.export, one.choice.measure
    batch = one.choice.batch_size if needs.batch == "static" else None
    own = (request.input_kind, request.preprocess, request.options)
    made = tuple(one.made_of[name] for name in EXPORTED)
    return (*made, needs.opset, batch, needs.simplify, measure.limit, measure.single_pass, *own)


def _export_identity(one: Wanted) -> dict[str, Any]:
    choice, needs = one.choice, one.choice.engine.export
    return {
        **{name: one.made_of[name] for name in EXPORTED},
        "opset": needs.opset,
        "batch": choice.batch_size if needs.batch == "static" else "dynamic",
        "simplify": needs.simplify,
        "golden": choose_golden_count(choice.measure, choice.case),
        "limit": choice.measure.limit,
        "input": choice.request.input_kind,
        "preprocess": dict(choice.preprocess),
        "options": dict(choice.options),
    }


def _task(one: Wanted, key: str, export: int | None) -> SweepTask:
    choice = one.choice
    return SweepTask(
        key=key,
        does="export" if export is None else "job",
        request=choice.request.model_dump(mode="json", exclude_defaults=True),
        export=export,
        chip=choice.chip_name,
        name=name_of(choice) if export is not None else f"export of {choice.case.name}",
    )


def name_of(choice: Choice) -> str:
    """Return a job's name for people: case, vendor, chip, engine, precision, batch size."""
    scenario = "" if choice.scenario is None else f" {choice.scenario.name}"
    return (
        f"{choice.case.name} {choice.vendor.name} {choice.chip_name} {choice.engine_name} "
        f"{choice.precision_name} bs{choice.batch_size}{scenario}"
    )
