"""`audit`: repeats a result's job with every check at its strictest and says whether its figures hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from driver.audit.document import audit_text, make_audit
from driver.audit.reading import FILE, audit_of
from driver.bundle.chain import own_files
from driver.bundle.documents import document_links, read_own_result
from driver.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_NOT_REPRODUCED,
    EXIT_OK,
    DataFault,
    EnvironmentFault,
    UsageFault,
)
from driver.models.audit import Verdict
from driver.session.result import exit_code
from driver.system.files import write_atomically
from driver.system.plain_text import plain
from driver.verbs.air_gap.rerun import run_again, show_rerun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.console import Console
    from driver.models.audit import Audit
    from driver.models.result import Result

EXIT_CODES = {
    Verdict.HOLDS: EXIT_OK,
    Verdict.DOES_NOT_HOLD: EXIT_NOT_REPRODUCED,
    Verdict.CANNOT_TELL: EXIT_INCONCLUSIVE,
}
NEXT = {
    Verdict.HOLDS: "`make report` shows the audit beside the result",
    Verdict.DOES_NOT_HOLD: "reports strike the result out and `compare` refuses it; the reasons are above",
    Verdict.CANNOT_TELL: "standard and official results on an idle machine can be decided; the reasons are above",
}


def audit(result: str | None, given: Mapping[str, str | None], console: Console) -> int:
    """Audit a result and write audit.json beside it; return the verdict's exit code, or the failed job's.

    ``given`` is what this host names of its own: where data and weights are, which device. Raises
    DataFault for a damaged or edited result, and EnvironmentFault where audit.json cannot be written.
    """
    if not result:
        raise UsageFault("audit needs a result", "make audit RESULT=<folder of a result>")
    folder, original = read_own_result(Path(result))
    _require_own_files(folder, original)
    if not os.access(folder, os.W_OK):
        raise EnvironmentFault(
            f"{folder} cannot be written, and audit.json belongs there",
            "copy the folder of the result to a place of your own: RESULT=<the copy>",
        )
    before = audit_of(str(folder / "result.json"), original.digest)
    ran = run_again(original, given, console, audit=True)
    found = make_audit(original, ran.result, ran.rerun, before)
    text = audit_text(found)
    write_atomically(folder / FILE, text)
    if console.as_json:
        console.document(json.loads(text))
    show_rerun(ran, console)
    _show(found, folder, console)
    return exit_code(ran.result) or EXIT_CODES[found.verdict]


def _require_own_files(folder: Path, original: Result) -> None:
    """Raise DataFault for samples, reports or documents that are not those of the result."""
    links = (*own_files(folder, original), *document_links(folder, original))
    broken = next((link for link in links if link.state == "differs"), None)
    # An audit.json that was damaged is about to be replaced.
    if broken is not None and broken.what != FILE:
        raise DataFault(
            f"{folder / broken.what} differs: {broken.detail}",
            "ask the sender for the original folder; the figures cannot be traced to this one",
        )


def _show(found: Audit, folder: Path, console: Console) -> None:
    for one in found.checks:
        console.say(f"{one.name}: {one.verdict} ({plain(one.reason)})")
    console.say(f"verdict: {found.verdict}")
    console.say(f"audit: {folder / FILE}")
    console.say(f"next: {console.advice(NEXT[found.verdict])}")
