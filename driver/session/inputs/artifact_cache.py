"""Artifacts that jobs share: exported models, golden outputs, engines; each complete or absent."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.models.report import StageReport
from driver.system.files import write_atomically
from driver.system.untrusted import documents, record
from driver.system.untrusted.opener import RefusedFile, Source, take

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.plan.job import PlannedJob
    from driver.session.stage import StageEnd

REPORT = "report.json"
EXPORT = "model/export.json"
GOLDEN = "golden/golden.json"
DESCRIBED = {
    EXPORT: {
        "onnx_sha256": "model/model.onnx",
        "data_sha256": "model/model.data",
    },
    GOLDEN: {"sha256": "golden/golden.npz"},
}
"""What the documents of an artifact say of its files: document → key of the digest → file."""
QUANTIZED = {"int8": "model/model.int8.onnx", "fp8": "model/model.fp8.onnx"}
"""The graph with quantizers, by its precision."""
DOCUMENT_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class CacheFolders:
    """Where a job's exported model, golden outputs and engine are cached, each by its content key."""

    model: Path
    golden: Path
    engine: Path
    memory: Path
    """Where digests of large files are remembered."""

    @classmethod
    def of(cls, cache: Path, planned: PlannedJob) -> CacheFolders:
        """Return the folders of a planned job below ``cache``."""
        return cls(
            model=cache / "models" / planned.export_key[:16],
            golden=cache / "golden" / planned.golden_key[:16],
            engine=cache / "engines" / planned.compile_key[:16],
            memory=cache / "sha256",
        )

    @property
    def has_model(self) -> bool:
        """Whether the exported model is cached."""
        return record.is_complete(self.model, EXPORT)

    @property
    def has_golden(self) -> bool:
        """Whether the golden outputs are cached."""
        return record.is_complete(self.golden, GOLDEN)

    @property
    def has_engine(self) -> bool:
        """Whether the compiled engine is cached."""
        return record.is_complete(self.engine, REPORT)

    def present(self) -> str:
        """Return what is cached, for display: "export, engine", or ""."""
        parts = {"export": self.has_model and self.has_golden, "engine": self.has_engine}
        return ", ".join(name for name, there in parts.items() if there)


def adopt(ended: StageEnd, part: str, target: Path, memory: Path) -> None:
    """Move a successful stage's ``out/<part>``, with its report, into the cache folder ``target``.

    ``memory`` is where digests are remembered. Raises RefusedFile for a part with links in it.
    """
    if not (ended.folder.out / part).is_dir() or ended.report is None:
        return
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        take(ended.folder.out, part, partial / part)
        _open_to_readers(partial / part)
        write_stage_report(partial, ended.report)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
        record.write_record(target, memory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Make everything world-readable: libraries save as 0600, the next stage may be another user."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def write_stage_report(folder: Path, report: StageReport) -> None:
    """Store a stage's report, marked as cached. Written last, it marks the artifact as complete."""
    cached = report.model_copy(update={"cached": True})
    write_atomically(folder / REPORT, cached.model_dump_json(by_alias=True))


def read_stage_report(folder: Path) -> StageReport | None:
    """Return the report stored with a cached artifact, None when it cannot be read."""
    try:
        return StageReport.model_validate(_document(folder, REPORT))
    except (RefusedFile, OSError, ValueError):
        return None


def read_export(model: Path) -> dict[str, Any]:
    """Return the export.json of a cached model; ValueError if it cannot be read."""
    try:
        document = _document(model, EXPORT)
    except (RefusedFile, OSError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    return document


def damaged_files(folder: Path, memory: Path, *, thorough: bool = False) -> list[str]:
    """Return the files of a cached model, golden outputs or engine that differ from the record, sorted.

    A folder without a record was made by an earlier version or came in a bundle: what its own
    documents say of its files is checked, and then recorded.
    """
    if record.has_record(folder):
        return record.damaged(folder, memory, thorough=thorough)
    found = record.differing(folder, _described(folder), memory, thorough=thorough)
    if not found:
        record.write_record(folder, memory)
    return found


def rotten_files(engine: Path, memory: Path) -> list[str]:
    """Return the files of an engine that differ from the record although nobody wrote to them.

    A file that was written may be one that the engine keeps up to date itself.
    """
    written = damaged_files(engine, memory)
    return [name for name in damaged_files(engine, memory, thorough=True) if name not in written]


def _described(folder: Path) -> dict[str, str]:
    """Return the digests (sha256, hex) of files that an artifact's own documents name."""
    found: dict[str, Any] = {}
    for name, files in DESCRIBED.items():
        try:
            document = _document(folder, name)
            found |= {file: document[key] for key, file in files.items() if document.get(key)}
            found |= _quantized(document)
        except (RefusedFile, OSError, ValueError, AttributeError):
            continue
    report = read_stage_report(folder)
    for made in () if report is None else report.artifacts:
        if made.path.startswith("cache/"):
            found[made.path] = made.sha256
    return {name: str(digest) for name, digest in found.items()}


def _quantized(document: dict[str, Any]) -> dict[str, Any]:
    """Return the digest of an export's graph with quantizers, by its file."""
    digest = document.get("quantized_sha256")
    file = QUANTIZED.get(str((document.get("quantized") or {}).get("precision")))
    return {file: digest} if digest and file else {}


def _document(folder: Path, name: str) -> Any:
    return documents.read_json(folder, name, DOCUMENT_BYTES, source=Source.CACHE)


def made_again(folder: Path, damaged: Sequence[str]) -> str:
    """Return the note about a damaged folder of the cache, which is made again."""
    return (
        f"{folder} was damaged on this host ({', '.join(damaged[:3])} changed after it was made); "
        "it is made again"
    )
