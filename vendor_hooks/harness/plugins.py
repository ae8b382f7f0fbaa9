"""Loads what a stage runs: the case's task, the vendor's engine, or a stage that the hook does itself."""

import importlib
from typing import Any, Callable

from harness.engine import Engine
from harness.engines.token_steps import generates, stepping
from harness.errors import StageFailure
from harness.job import Job, module_name
from harness.task import Task


def load_task(job: Job) -> Task:
    """The case's Task: ``make_task(job)`` of case/task.py."""
    module = _own_module("case.task", "cases/{}/task.py".format(job.case), job)
    task = module.make_task(job)
    if not isinstance(task, Task):
        raise StageFailure(
            "contract",
            "make_task in cases/{}/task.py returned a {}, not a harness.task.Task".format(
                job.case, type(task).__name__
            ),
            "derive the task from harness.task.Task",
        )
    return task


def load_dataset(job: Job) -> Any:
    """case/dataset.py of a case with a layout of its own: ``read(source, job)``, ``synthetic(job, spec)``.

    Both return an iterable of harness.inputs.items.Item.
    """
    return _own_module("case.dataset", "cases/{}/dataset.py".format(job.case), job)


def load_engine(job: Job) -> Engine:
    """The vendor's Engine for ``job.engine``: the ``ENGINE`` of hook/engines/<engine>.py.

    With ``harness_engine``, the harness's own of that name instead.
    """
    package, name = "hook", module_name(job.engine)
    where = "engines/{}.py in {}'s folder".format(name, job.vendor)
    if job.harness_engine is not None:
        package, name = "harness", module_name(job.harness_engine)
        where = "harness/engines/{}.py".format(name)
    module = _own_module("{}.engines.{}".format(package, name), where, job)
    kind = getattr(module, "ENGINE", None)
    if not isinstance(kind, type) or not issubclass(kind, Engine):
        raise _bad_engine(where, "has no ENGINE = <class derived from harness.engine.Engine>", job)
    if job.generation is not None:
        if not generates(kind):
            raise _bad_engine(where, "does not implement prefill and decode", job)
        return stepping(kind)(job)
    paired = kind.submit is not Engine.submit and kind.wait is not Engine.wait
    if kind.infer is Engine.infer and not paired:
        raise _bad_engine(where, "implements neither infer nor submit and wait", job)
    engine = kind(job)
    if kind.in_flight != 1 and kind.submit is Engine.submit:
        raise _bad_engine(where, "sets in_flight > 1 but implements only infer", job)
    return engine


def load_hook_stage(job: Job, stage: str) -> Callable[..., None]:
    """``run`` of hook/<stage>.py, for stages that a hook does itself (export, score)."""
    where = "{}.py in {}'s folder".format(stage, job.vendor)
    return _own_module("hook." + module_name(stage), where, job).run


def _own_module(name: str, where: str, job: Job) -> Any:
    """Import a module of the job folder; a missing file is a StageFailure of its own."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or ""
        if missing and (name == missing or name.startswith(missing + ".")):
            raise StageFailure(
                "contract",
                "{} does not exist, so stage {} cannot run".format(where, job.stage),
                "write it, or correct the engine's name in vendor.toml; then: make check VENDOR={}".format(
                    job.vendor
                ),
            ) from error
        raise
    except SyntaxError as error:
        raise StageFailure(
            "contract",
            "{} line {}: {}".format(where, error.lineno, error.msg),
            "guest code must be valid in the stack's Python (the oldest is 3.7)",
        ) from error


def _bad_engine(where: str, what: str, job: Job) -> StageFailure:
    return StageFailure(
        "contract",
        "{} {}".format(where, what),
        "vendor_hooks/harness/README.md describes the contract; to test it: make check VENDOR={}".format(
            job.vendor
        ),
    )
