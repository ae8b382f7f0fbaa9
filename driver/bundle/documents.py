"""The documents beside a result: stage reports, from which its figures follow; statement; verdicts of a rerun and an audit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError

from driver.audit.reading import FILE as AUDIT
from driver.audit.reading import read_audit
from driver.bundle.chain import EDITED, Link, read_result
from driver.errors import DataFault
from driver.models.report import StageReport
from driver.rerun.reading import FILE as RERUN
from driver.rerun.reading import read_rerun
from driver.results.recomputed import contradiction
from driver.results.statement import FILE as STATEMENT
from driver.results.statement import statement_text
from driver.system.hashing import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from driver.models.result import Result


def read_own_result(path: Path) -> tuple[Path, Result]:
    """Return a result's folder and the result, as `read_result` does; DataFault also for edited figures."""
    folder, result = read_result(path)
    reports = sorted((folder / "reports").glob("*.json"))
    require_own_figures(str(folder / "result.json"), result, _contents(reports))
    return folder, result


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with suppress(OSError):
            yield path.read_bytes()


def require_own_figures(name: str, result: Result, reports: Iterable[bytes]) -> None:
    """Raise DataFault for a result whose figures contradict each other or its stage reports.

    ``reports`` are the files' contents; invalid ones are left out here, the chain names them.
    """
    why = contradiction(result.metrics, tuple(_valid(reports)))
    if why is not None:
        raise DataFault(f"{name} was edited: {why}", EDITED)


def _valid(reports: Iterable[bytes]) -> Iterator[StageReport]:
    for content in reports:
        with suppress(ValidationError):
            yield StageReport.model_validate_json(content)


def document_links(folder: Path, result: Result) -> Iterator[Link]:
    """Yield a link for each document in a result's folder; older results have no statement."""
    if (folder / STATEMENT).is_file():
        yield _statement(folder, result)
    if (folder / RERUN).is_file():
        yield _rerun(folder, result)
    if (folder / AUDIT).is_file():
        yield _audit(folder, result)


def _audit(folder: Path, result: Result) -> Link:
    found = read_audit(folder / "result.json")
    if found is None:
        return Link(what=AUDIT, state="differs", detail="it is damaged, or was edited")
    if found.result != result.digest:
        return Link(what=AUDIT, state="differs", detail="it is the audit of another result")
    return Link(what=AUDIT, state="verified", detail=f"{found.verdict}, {found.digest}")


def _statement(folder: Path, result: Result) -> Link:
    wanted = statement_text(result, file_sha256(folder / "result.json"))
    try:
        holds = (folder / STATEMENT).read_text(encoding="utf-8") == wanted
    except (OSError, ValueError):
        holds = False
    detail = "" if holds else "it is not the statement of this result.json"
    return Link(what=STATEMENT, state="verified" if holds else "differs", detail=detail)


def _rerun(folder: Path, result: Result) -> Link:
    found = read_rerun(folder / "result.json")
    if found is None:
        return Link(what=RERUN, state="differs", detail="it is damaged, or was edited")
    sides = found.rerun.digest, found.original.digest
    if sides != (result.digest, result.provenance.get("rerun_of")):
        return Link(what=RERUN, state="differs", detail="it is the verdict of another rerun")
    return Link(what=RERUN, state="verified", detail=str(found.digest))
