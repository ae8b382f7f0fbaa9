"""A runner for scripted hooks: a stage that only writes a report is a fork, others are run as ever.

Guard and hook start a Python each, 0.07 processor seconds a stage, while tests of sessions are about what becomes of
what a hook left. What runners do is tested on runners: tests/driver/runners.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from driver.runners.base import Exit, require_hook
from driver.runners.job_folder import lay_out
from driver.runners.process import ProcessRunner, guest_environment, require_python, translated
from tests.harness.forks import SCRIPT_SERVER, server_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.runners.spec import ContainerSpec

HOOK = (Path(__file__).parents[1] / "scripted_hook.py").read_text(encoding="utf-8")
IMPORTS = ("json", "pathlib", "time")
"""What it imports."""
NEEDS_A_PROCESS = ("hang", "grows", "crashes", "python:", "takes-a-second")
"""How behaviours begin that are about the process itself."""
CLAIMED_S = 0.01
"""Longer than a scripted loop says that it took: a stage cannot end before its loops have."""


class ScriptedRunner(ProcessRunner):
    """Runs the stages of scripted hooks, written for this Python."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner."""
        hook = spec.source("hook")
        if hook is None or not _only_reports(hook, spec.stage):
            return super().run(spec, log=log, on_tick=on_tick)
        started = time.monotonic()
        require_hook(spec)
        python = require_python(spec)
        root, tmp = lay_out(spec)
        script, *arguments = (translated(word, root) for word in spec.argv)
        log.parent.mkdir(parents=True, exist_ok=True)
        request = {
            "script": script,
            "arguments": arguments,
            "path": [],
            "environment": guest_environment(spec, root=root, tmp=tmp),
            "cwd": str(tmp),
            "out": str(log),
            "err": str(log),
        }
        launched = time.monotonic()
        code = server_of(Path(sys.executable), SCRIPT_SERVER, *IMPORTS).run(request)
        time.sleep(max(0.0, CLAIMED_S - (time.monotonic() - launched)))
        return Exit(
            code=code,
            oom_killed=False,
            timed_out=False,
            wall_s=time.monotonic() - started,
            overhead_s=launched - started,
            executed_in=str(python),
            peak_memory_bytes=None,
        )


def _only_reports(folder: Path, stage: str) -> bool:
    """Return whether a hook is a scripted one that writes a report in this stage and ends."""
    hook, notes = folder / "hook", folder / "behaviour.json"
    if not hook.is_file() or not hook.read_text(encoding="utf-8").endswith(HOOK):
        return False
    said = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    behaviour = said.get(stage, "good")
    if behaviour.startswith("@"):
        behaviour = Path(behaviour[1:]).read_text(encoding="utf-8")
    return not behaviour.startswith(NEEDS_A_PROCESS)
