"""What one job leaves for the next: exported models, golden outputs, engines; each whole or not there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.content import file_sha256
from driver.models.report import StageReport
from driver.results import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.report import Artifact
    from driver.plan import PlannedJob
    from driver.stage_run import StageEnd


@dataclass(frozen=True, kw_only=True)
class CacheFolders:
    """Where a job's exported model, golden outputs and engine are kept, each by what it is made of."""

    model: Path
    golden: Path
    engine: Path

    @classmethod
    def of(cls, cache: Path, planned: PlannedJob) -> CacheFolders:
        """Return the folders of a planned job below ``cache``."""
        return cls(
            model=cache / "models" / planned.export_key[:16],
            golden=cache / "golden" / planned.golden_key[:16],
            engine=cache / "engines" / planned.compile_key[:16],
        )

    @property
    def has_model(self) -> bool:
        """Whether the export is there, whole."""
        return (self.model / "model" / "export.json").is_file()

    @property
    def has_golden(self) -> bool:
        """Whether the golden outputs are there, whole."""
        return (self.golden / "golden" / "golden.json").is_file()

    @property
    def has_engine(self) -> bool:
        """Whether the compiled engine is there, whole."""
        return (self.engine / "report.json").is_file()

    def present(self) -> str:
        """Return what needs not be made again, for people: "export, engine", or ""."""
        parts = {"export": self.has_model and self.has_golden, "engine": self.has_engine}
        return ", ".join(name for name, there in parts.items() if there)


def adopt(ended: StageEnd, part: str, target: Path) -> None:
    """Move ``out/<part>`` of a stage that went well into the cache folder ``target``, with its report."""
    made = ended.folder.out / part
    if not made.is_dir() or ended.report is None:
        return
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        shutil.move(made, partial / part)
        _open_to_readers(partial / part)
        write_stage_report(partial, ended.report)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Let every user read: savers make 0600 files, and the next stage may run as another user."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def write_stage_report(folder: Path, report: StageReport) -> None:
    """Keep a stage's report with what it made, marked as cached; written last, it says "complete"."""
    cached = report.model_copy(update={"cached": True})
    write_atomically(folder / "report.json", cached.model_dump_json(by_alias=True))


def read_stage_report(folder: Path) -> StageReport | None:
    """Return the report kept with a cached thing, None when it cannot be read."""
    try:
        return StageReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def changed_files(engine: Path) -> list[str]:
    """Return the files of a cached engine that are not what its compile left, as its report names them.

    Engines add files beside them (tactics, traces): those are not looked at.
    """
    report = read_stage_report(engine)
    artifacts = () if report is None else report.artifacts
    return [made.path for made in artifacts if not _is_as_made(engine, made)]


def _is_as_made(engine: Path, made: Artifact) -> bool:
    path = engine / made.path
    # A hook names its own files: no link and no path out of the cache is followed.
    inside = path.resolve().is_relative_to((engine / "cache").resolve())
    if not inside or not path.is_file() or path.stat().st_size != made.bytes:
        return False
    return file_sha256(path) == made.sha256


def forget_engine(engine: Path) -> None:
    """Have the next run compile again: without its report an engine is not whole."""
    (engine / "report.json").unlink(missing_ok=True)
