"""A runner for whole jobs: what hands over to the harness is a fork of a process that has imported what it imports.

Importing PyTorch and transformers takes 3 of the 3.3 processor seconds of a short `validate`, and guard, hook and harness
start a Python each. What runners do is tested on runners: tests/driver/runners.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.runners.base import TICK_S, Exit, require_hook
from driver.runners.job_folder import lay_out
from driver.runners.process import SIGKILL_CODE, ProcessRunner, guest_environment, require_python
from tests.harness.forks import (
    EVERY_STAGE,
    EXPORTING,
    STAGE_SERVER,
    WITH_TORCH,
    Fork,
    exported_by,
    server_environment,
    server_of,
    stage_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.runners.spec import ContainerSpec

TORCH_ENGINES = ("eager", "inductor", "zentorch")
READ_AT_LOADING = ("GOMP_", "KMP_", "LD_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "TORCH_")
"""How variables begin that Python, torch and numpy's libraries read when they are loaded."""


class ForkedRunner(ProcessRunner):
    """Runs the stages of hooks that hand over to the harness as forks, all others as ever."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. Nobody watches its memory."""
        hook = spec.source("hook")
        exported = None if hook is None else exported_by(hook / "hook")
        if exported is None:
            return super().run(spec, log=log, on_tick=on_tick)
        started = time.monotonic()
        require_hook(spec)
        python = require_python(spec)
        root, tmp = lay_out(spec)
        env = guest_environment(spec, root=root, tmp=tmp) | exported
        differs = _read_at_loading(env) - _read_at_loading(server_environment(python))
        if differs or not (python.parents[1] / "assay.json").is_file():
            # An interpreter of the host finds its packages by what it is started with.
            return super().run(spec, log=log, on_tick=on_tick)
        log.parent.mkdir(parents=True, exist_ok=True)
        # The hook, what it is to do, and the job folder: data are generated in the place of an export.
        _, stage, _ = spec.argv
        request = stage_request(stage, root, env, python=python, log=log) | {"cwd": str(tmp)}
        server = server_of(python, STAGE_SERVER, *_imported(stage, root))
        launched = time.monotonic()
        fork, deadline = Fork(server.address, request), launched + spec.limits.timeout_s
        try:
            while (code := fork.wait(TICK_S)) is None and time.monotonic() < deadline:
                on_tick()
        finally:
            fork.close()
        return Exit(
            code=SIGKILL_CODE if code is None else code if code >= 0 else 128 - code,
            oom_killed=False,
            timed_out=code is None,
            wall_s=time.monotonic() - started,
            overhead_s=launched - started,
            executed_in=str(python),
            peak_memory_bytes=None,
        )


def _read_at_loading(env: dict[str, str]) -> set[tuple[str, str]]:
    read = ((name, value) for name, value in env.items() if name.startswith(READ_AT_LOADING))
    # As the option -B, with which forks are made.
    return {*read} - {("PYTHONDONTWRITEBYTECODE", "1")}


def _imported(stage: str, root: Path) -> tuple[str, ...]:
    if stage == StageName.EXPORT:
        return EXPORTING
    engine = json.loads((root / "job.json").read_text(encoding="utf-8"))["job"]["engine"]
    with_torch = stage == StageName.VALIDATE or (
        stage in {StageName.COMPILE, StageName.INFER} and engine in TORCH_ENGINES
    )
    return WITH_TORCH if with_torch else EVERY_STAGE
