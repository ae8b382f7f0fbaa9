"""The three parts that a stage brings together: the case's task, the vendor's engine, the hook's stages."""

import importlib

from harness.engine import Engine
from harness.errors import StageFailure
from harness.job import module_name
from harness.task import Task


def load_task(job):
    """The case's Task: ``make_task(job)`` of case/task.py."""
    module = _own_module("case.task", "cases/{}/task.py".format(job.case), job)
    task = module.make_task(job)
    if not isinstance(task, Task):
        raise StageFailure(
            "contract",
            "make_task of cases/{}/task.py gave a {}, not a harness.task.Task".format(
                job.case, type(task).__name__
            ),
            "derive the task from harness.task.Task",
        )
    return task


def load_engine(job):
    """The vendor's Engine for ``job.engine``: the ``ENGINE`` of hook/engines/<engine>.py."""
    name = module_name(job.engine)
    where = "engines/{}.py of {}'s folder".format(name, job.vendor)
    module = _own_module("hook.engines." + name, where, job)
    kind = getattr(module, "ENGINE", None)
    if not isinstance(kind, type) or not issubclass(kind, Engine):
        raise _bad_engine(where, "has no ENGINE = <class derived from harness.engine.Engine>", job)
    paired = kind.submit is not Engine.submit and kind.wait is not Engine.wait
    if kind.infer is Engine.infer and not paired:
        raise _bad_engine(where, "implements neither infer nor submit and wait", job)
    engine = kind(job)
    if kind.in_flight != 1 and kind.submit is Engine.submit:
        raise _bad_engine(where, "asks for in_flight > 1 but only implements infer", job)
    return engine


def load_hook_stage(job, stage):
    """``run`` of hook/<stage>.py, for stages that a hook does itself (export, score)."""
    where = "{}.py of {}'s folder".format(stage, job.vendor)
    return _own_module("hook." + module_name(stage), where, job).run


def _own_module(name, where, job):
    """Import a module of the tree; when it is that file itself that is missing, say so."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or ""
        if missing and (name == missing or name.startswith(missing + ".")):
            raise StageFailure(
                "contract",
                "{} is not there, so stage {} cannot run".format(where, job.stage),
                "write it, or correct the engine's name in vendor.toml; then make check VENDOR={}".format(
                    job.vendor
                ),
            ) from error
        raise
    except SyntaxError as error:
        raise StageFailure(
            "contract",
            "{} line {}: {}".format(where, error.lineno, error.msg),
            "guest code must parse under the stack's Python (3.7 is the oldest)",
        ) from error


def _bad_engine(where, what, job):
    return StageFailure(
        "contract",
        "{} {}".format(where, what),
        "vendor_hooks/harness/README.md shows the contract; try make check VENDOR={}".format(
            job.vendor
        ),
    )
