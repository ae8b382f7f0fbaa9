"""audit.json from an audit's checks. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from driver.audit.checks import checks, overall
from driver.models.audit import Audit, EarlierAudit
from driver.system.hashing import canonical_digest

if TYPE_CHECKING:
    from driver.models.rerun import Rerun
    from driver.models.result import Result


def make_audit(original: Result, run: Result, rerun: Rerun, before: Audit | None) -> Audit:
    """Return the audit of ``original`` by ``run``; ``before`` is the one that it replaces."""
    assert original.digest is not None
    assert run.digest is not None
    found = checks(original, run, rerun)
    return Audit(
        verdict=overall(found),
        result=original.digest,
        run=run.digest,
        job=original.job,
        finished_utc=run.finished_utc,
        checks=found,
        earlier=_earlier(before),
    )


def _earlier(before: Audit | None) -> tuple[EarlierAudit, ...]:
    """Return the audits so far: repeating one until it holds stays visible."""
    if before is None or before.digest is None:
        return ()
    last = EarlierAudit(verdict=before.verdict, run=before.run, digest=before.digest)
    return (*before.earlier, last)


def audit_text(audit: Audit) -> str:
    """Return audit.json, with the digest of its own content."""
    document = json.loads(audit.model_dump_json(by_alias=True, exclude={"digest"}))
    document["digest"] = canonical_digest(document)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
