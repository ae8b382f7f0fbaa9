"""Makes a side of a comparison from results or from a published figure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from driver.audit.reading import refutation
from driver.compare.verdict import Side
from driver.results.concerns import concerns_speed
from driver.results.statistics import median

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.aggregate.record import Record
    from driver.compare.verdict import Facts
    from driver.published.rows import PublishedFigure


def side_of(
    records: Sequence[Record], name: str = "", same_id: frozenset[str] = frozenset()
) -> Side:
    """Return results of one configuration as a side, with their processes pooled.

    ``same_id`` are the ids that several different results have (see ``_claimed_twice``).
    """
    first = records[0]
    sessions = [record.core_values or _single(record) for record in records]
    whole = [record.p_infer_whole for record in records if record.p_infer_whole is not None]
    return Side(
        name=name or _name(first, len(records)),
        facts=_facts(first),
        sessions=tuple(session for session in sessions if session),
        whole=median(whole) if whole else None,
        loads=_loads(records),
        load_unit=first.scenario_unit or "",
        refusals=(*_once(_refusals, records), *_claims(records, same_id)),
        caveats=_once(_caveats, records),
    )


def _claims(records: Sequence[Record], same_id: frozenset[str]) -> list[str]:
    ids = sorted({record.result_id for record in records} & same_id)
    return [
        f"several different results have the id {one}; find out which one is real" for one in ids
    ]


def _claimed_twice(records: Sequence[Record]) -> frozenset[str]:
    """Return the ids that results with different content have."""
    contents: defaultdict[str, set[str | None]] = defaultdict(set)
    for record in records:
        contents[record.result_id].add(record.digest)
    return frozenset(one for one, digests in contents.items() if len(digests) > 1)


def _single(record: Record) -> tuple[float, ...]:
    return () if record.p_infer_core is None else (record.p_infer_core,)


def _name(record: Record, count: int) -> str:
    what = f"{record.case} {record.vendor} {record.chip} {record.engine} {record.precision}"
    more = f", {count} results" if count > 1 else f", {record.started_utc}"
    return f"{what} bs{record.batch_size}{more}"


def _facts(record: Record) -> Facts:
    return {
        "case": record.case,
        "core_item": record.core_item,
        "metric": record.acc_metric,
        "weights": record.weights,
        "weights_digest": record.weights_sha256,
        "data": record.data,
        "dataset": record.dataset_sha256,
        # Results written before this field existed also counted one chip.
        "chips": record.chips or "1",
        "processor": record.processor,
        "precision": record.precision,
        "arithmetic": record.arithmetic,
        "batch_size": str(record.batch_size),
        "clock": _clock(record),
        "in_flight": record.in_flight,
        "tier": record.tier,
        "runner": record.runner,
        "attention": record.attention,
        "input": record.input_kind,
        "onnx": record.onnx_sha256,
        "scenario": _scenario(record),
        "export": f"opset {record.opset}, {record.export_batch} batch",
    }


def _scenario(record: Record) -> str:
    """Return the load scenario with its bound; results of runs without one have "none"."""
    if record.scenario is None:
        return "none"
    bounds = (record.scenario_bound_ms, record.scenario_token_bound_ms)
    return ", ".join([record.scenario, *(f"{bound:g} ms" for bound in bounds if bound is not None)])


def _loads(records: Sequence[Record]) -> tuple[float, ...]:
    """Return MLPerf's figure of each record whose run is valid."""
    found = (record.scenario_figure for record in records if record.scenario_valid)
    return tuple(figure for figure in found if figure is not None)


def _clock(record: Record) -> str | None:
    """Return the clock; programs that time themselves count as different clocks."""
    if record.clock in (None, "harness"):
        return record.clock
    return f"{record.clock} ({record.vendor} {record.engine})"


def _refusals(record: Record) -> list[str]:
    found = []
    if record.simulated:
        found.append("simulated: a stand-in ran and nothing was measured")
    if record.tier == "smoke":
        found.append("smoke runs are never comparable")
    if record.edited:
        found.append("edited after it was written: its digest does not match")
    if record.status == "accuracy_failed" or record.gate_passed is False:
        found.append(f"its accuracy failed ({record.gate_reason})")
    elif record.impossible:
        found.append(f"its figures cannot be true ({'; '.join(record.figure_marks)})")
    elif record.status != "ok":
        found.append(f"its job's status is {record.status} ({record.failure})")
    elif record.p_infer_core is None:
        found.append("it has no p_infer_core")
    elif (why := refutation(record.path, record.digest)) is not None:
        found.append(f"its audit does not hold ({why})")
    return found


def _caveats(record: Record) -> list[str]:
    found = [f"warning {code}" for code in record.warnings if concerns_speed(code)]
    if record.gate_passed is None:
        found.append("its accuracy was not checked")
    if "synthetic" in (record.weights, record.data):
        found.append("synthetic weights or data: compare speed only")
    return found


def _once(texts: Callable[[Record], list[str]], records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for record in records for text in texts(record)))


UNSTATED = (
    "core_item",
    "input",
    "metric",
    "weights_digest",
    "dataset",
    "clock",
    "in_flight",
    "tier",
    "runner",
    "attention",
    "onnx",
    "export",
    "scenario",
)
"""Facts that no published document states about its figures."""


def published_side(figure: PublishedFigure) -> Side:
    """Return a published figure as a side; facts that its document omits are None."""
    facts: Facts = {
        **dict.fromkeys(UNSTATED),
        "case": figure.case,
        "weights": "published",
        "data": "real",
        "chips": None if figure.chips is None else str(figure.chips),
        "precision": figure.precision_name,
        "arithmetic": figure.arithmetic,
        "batch_size": str(figure.batch_size),
    }
    core = figure.p_infer_core
    return Side(
        name=figure.name,
        facts=facts,
        sessions=() if core is None else ((core,),),
        whole=figure.p_infer_whole,
        refusals=() if core is not None else ("its document has no p_infer_core",),
        caveats=(f"published as one figure; its document omits {', '.join(UNSTATED)}",),
        unstated=frozenset(UNSTATED),
    )
