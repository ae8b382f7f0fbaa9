"""Our side of a bench: ordinary jobs on this host, each in its own process with hook and harness."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from driver.errors import AssayError, EnvironmentFault, Interrupted
from driver.models.base import RunnerName
from driver.models.job import Measure
from driver.plan.choice import choose
from driver.results.concerns import CONCERNS, concerns_speed
from driver.runners.process import SYSTEM_PATH
from driver.session.prepare import prepare
from driver.session.result import exit_code
from driver.session.run import run_job
from driver.session.site import open_site
from driver.system.settings import load_settings
from driver.system.stopwatch import Stopwatch
from driver.system.subprocesses import ChildFailed, run_child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from driver.catalog.catalog import Catalog
    from driver.events import Progress
    from driver.models.base import StageName
    from driver.models.result import Result, StageRecord
    from driver.plan.choice import Choice
    from driver.plan.request import Request
    from driver.session.site import Site


class NotComparable(AssayError):
    """A side has no figure, or one of other settings: there is nothing to compare."""


class AccuracyFailed(NotComparable):
    """Fast and wrong is not fast."""

    exit_code = 4


class Notes:
    """A listener that passes on what is worth a line: an installation should not look like a hang."""

    def note(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr)

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        pass

    def task_started(self, name: str) -> None:
        pass

    def task_ended(self) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def stage_ended(self, record: StageRecord) -> None:
        pass


def catalog_of_the_tree() -> Catalog:
    """Return what can be measured; UsageFault where the settings are wrong."""
    return load_catalog(load_settings().root)


def look(request: Request, catalog: Catalog, seconds: float) -> Choice:
    """Return the job of a request, with the core loop as long as asked and one process.

    Nothing validates: that takes as long as what is measured, and the gate holds outputs against
    the fp32 golden ones all the same.
    """
    choice = choose(request, catalog)
    return replace(
        choice,
        measure=Measure(min_seconds=seconds, repeats=1, limit=request.limit),
        engine=choice.engine.model_copy(update={"validate_engine": None}),
    )


@contextmanager
def open_bench(catalog: Catalog) -> Iterator[Bench]:
    """Yield a bench on this host. It leaves no results beside those that a lab keeps."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        settings = load_settings().model_copy(update={"results": Path(folder)})
        with open_site(RunnerName.PROCESS, settings, catalog, Notes()) as site:
            yield Bench(site)


class Bench:
    """Jobs on one site, and the programs that they are compared with."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def run(self, choice: Choice) -> Result:
        """Run the job; its result is ``sound``."""
        return sound(run_job(self._site, choice).result)

    def bare(self, choice: Choice, words: Sequence[str], folder: Path) -> str:
        """Run a Python program of the job's own environment and return what it printed.

        The words' first is the program; ``folder`` is its home.
        """
        venv = prepare(self._site, choice, Stopwatch()).stacks.vendor.venv
        assert venv is not None, "the process runner runs in virtual environments"
        return self.program(venv, words, folder)

    def program(
        self, venv: Path, words: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
    ) -> str:
        """Run a Python program of an environment in ``folder``, and return what it printed.

        Its variables are the job's and ``more``: nothing of the caller's reaches it, for a thread limit there
        would slow one side alone.
        """
        env = {
            "PATH": f"{venv / 'bin'}:{SYSTEM_PATH}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(self._site.host.threads),
            **(more or {}),
        }
        program = venv / "bin" / words[0]  # an absolute path stays what it is
        command = [str(venv / "bin" / "python3"), str(program), *words[1:]]
        try:
            return run_child(command, env=env, cwd=folder, stdout_only=True)
        except ChildFailed as failed:
            raise EnvironmentFault(
                f"{program.name} ended with {failed.returncode}: {failed.tail}",
                f"run it by hand: {' '.join(command)}",
            ) from failed

    def model(self, choice: Choice) -> Path:
        """Return the very ONNX file that the job runs on."""
        planned = prepare(self._site, choice, Stopwatch()).planned
        return self._site.settings.cache / "models" / planned.export_key[:16] / "model/model.onnx"


def sound(result: Result) -> Result:
    """Return the result; NotComparable for one whose figure must not be compared.

    An interrupted job has a result with the figures so far; the interruption ends the bench too.
    """
    name = f"{result.job.case} on {result.job.vendor} ({result.job.engine})"
    if exit_code(result) == Interrupted.exit_code:
        raise KeyboardInterrupt
    if result.failure is not None:
        failure = result.failure
        raise NotComparable(
            f"{name}: {failure.stage}: [{failure.kind}] {failure.message}", failure.remedy
        )
    if result.status == "accuracy_failed":
        reason = result.gate.reason if result.gate else "no gate"
        raise AccuracyFailed(f"{name} computes something else: {reason}", "fix the engine first")
    if result.simulated or result.metrics.p_infer_core is None:
        why = "ran on a stand-in" if result.simulated else "has no p_infer_core"
        raise NotComparable(f"{name} {why}", "unset ASSAY_STANDINS, and run it by itself")
    return result


def rate(result: Result) -> float:
    """Return a sound result's p_infer_core, items a second."""
    assert result.metrics.p_infer_core is not None
    return result.metrics.p_infer_core


def effective(result: Result) -> Mapping[str, object]:
    """Return the settings that the engine says were in force while it was measured."""
    found: Mapping[str, object] = result.provenance["effective"]["infer"]
    return found


def changing(results: Sequence[Result]) -> str:
    """Return ``"; inputs changed in 0.31% of the time"``, the largest share of the results."""
    checks = [result.provenance.get("core_checks", {}).get("infer-0", {}) for result in results]
    shares = [one["core_inputs"]["share_of_time"] for one in checks if "core_inputs" in one]
    return f"; inputs changed in {max(shares):.2%} of the time" if shares else ""


def caveats(results: Sequence[Result]) -> str:
    """Return ``"; 2 of 5 throttled"`` for each warning that puts a figure in question."""
    warned = [{str(warning.code) for warning in result.warnings} for result in results]
    counted = {
        code: sum(code in codes for codes in warned) for code in CONCERNS if concerns_speed(code)
    }
    return "".join(f"; {n} of {len(warned)} {code}" for code, n in counted.items() if n)
