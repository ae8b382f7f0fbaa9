"""The head of the report: how much it shows, and what it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.published.chinese import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.load import Loaded
    from driver.aggregate.selection import PerJob, Selection
    from driver.published.columns import Language


class Head(NamedTuple):
    """Facts as pairs of a name and a figure, and notices as sentences."""

    facts: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]


def head_of(
    loaded: Loaded,
    selection: Selection,
    found: PerJob,
    groups: Sequence[Group],
    language: Language = "en",
) -> Head:
    """Return the head of a report that shows ``groups``."""
    shown = sum(len(group.records) for group in groups)
    return Head(
        facts=tuple((said(name, language), value) for name, value in _facts(loaded, found, groups)),
        notices=_notices(loaded, selection, found, shown, language),
    )


class Notice(NamedTuple):
    """A notice for one and for several; the Chinese text is that of ``many``."""

    one: str
    many: str


SIMULATED = Notice(
    "{count} simulated result is left out: SIMULATED=1 shows them, marked",
    "{count} simulated results are left out: SIMULATED=1 shows them, marked",
)
SYNTHETIC = Notice(
    "{count} result with synthetic weights or data is left out: SYNTHETIC=1 shows them, marked",
    "{count} results with synthetic weights or data are left out: SYNTHETIC=1 shows them, marked",
)
OLDER = Notice(
    "{count} older result of the same job and host is left out: ALL=1 shows them; "
    "results.csv and results.parquet have them",
    "{count} older results of the same job and host are left out: ALL=1 shows them; "
    "results.csv and results.parquet have them",
)
FAILED = Notice(
    "{count} run failed or stopped early and left no newer figures, listed below",
    "{count} runs failed or stopped early and left no newer figures, listed below",
)
ONLY = (
    "only the newest {shown} of {count} rows are shown here; "
    "results.csv and results.parquet have all of them"
)
CUT = Notice(ONLY, ONLY)
PROBLEMS = Notice(
    "{count} problem, listed at the end with the reason",
    "{count} problems, listed at the end with the reason",
)


def _notices(
    loaded: Loaded, selection: Selection, found: PerJob, shown: int, language: Language
) -> tuple[str, ...]:
    rows = int(found.is_shown.sum())
    counts = (
        (SIMULATED, selection.simulated_left_out),
        (SYNTHETIC, selection.synthetic_left_out),
        (OLDER, found.older),
        (FAILED, int(found.is_failed.sum())),
        (CUT, rows if shown < rows else 0),
        (PROBLEMS, len(loaded.problems)),
    )
    return tuple(
        said(notice.one if count == 1 and language == "en" else notice.many, language).format(
            count=f"{count:,}", shown=shown
        )
        for notice, count in counts
        if count
    )


def _facts(loaded: Loaded, found: PerJob, groups: Sequence[Group]) -> list[tuple[str, str]]:
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    rows = found.shown("status", "started_utc", "case", "chip")
    struck = pc.sum(pc.equal(rows.column("status"), "accuracy_failed")).as_py() or 0
    dates = pc.min_max(rows.column("started_utc")).as_py()
    spans = sorted({(dates[bound] or "/")[:10] for bound in ("min", "max")})
    return [
        ("results", f"{rows.num_rows:,}"),
        ("tables", f"{len(groups):,}"),
        ("cases", str(len(pc.unique(rows.column("case"))))),
        ("chips", str(len(pc.unique(rows.column("chip"))))),
        ("accuracy failed", f"{struck:,}"),
        ("failed runs", f"{found.is_failed.sum():,}"),
        ("problems", f"{len(loaded.problems):,}"),
        ("measured", " – ".join(spans)),
    ]
