"""The checks of an audit, on the audited result, the result of the audit's run, and the rerun's verdict. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.models.audit import AuditCheck, Verdict
from driver.models.base import FailureKind, StageName, WarningCode
from driver.models.rerun import Outcome, Weight
from driver.rerun.differences import at
from driver.results.statistics import median_interval
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driver.models.rerun import Rerun, RerunFigure
    from driver.models.result import Result, StageRecord

FASTER_ALLOWED = 1.10
"""Repeated inputs may be this much faster than fresh ones: the limit of MLPerf's TEST04."""
CLOCK_WITHIN = 0.01
"""So closely, as a share of a loop, the driver's own clock must have timed it."""
START_S = 10.0
"""A stage may take so long to start and to end outside its own clock."""
CLOCK_SHARE = 0.10
"""Beyond START_S, the guest's clock may miss this share of its stage by the driver's, where it gave no answers."""
BY_OUTCOME = {
    Outcome.REPRODUCED: Verdict.HOLDS,
    Outcome.NOT_REPRODUCED: Verdict.DOES_NOT_HOLD,
    Outcome.INCONCLUSIVE: Verdict.CANNOT_TELL,
}
GUEST_AT_FAULT = (FailureKind.CONTRACT, FailureKind.ACCURACY)


def checks(original: Result, run: Result, rerun: Rerun) -> tuple[AuditCheck, ...]:
    """Return every check; a run without figures has the first ones only."""
    ended = _job(run)
    first = (ended, _caches(run), _inputs(rerun))
    if run.status == "failed":
        return first
    return (
        *first,
        _gate(original, run),
        *(_figure(one) for one in rerun.figures),
        _core_outputs(run),
        _repeated_inputs(run),
        _seeds(original, run),
        _physics(original, run),
        _clock(run),
    )


def overall(found: Sequence[AuditCheck]) -> Verdict:
    """Return the verdict of all: one that does not hold decides, then one that cannot tell."""
    verdicts = {one.verdict for one in found}
    for decides in (Verdict.DOES_NOT_HOLD, Verdict.CANNOT_TELL):
        if decides in verdicts:
            return decides
    return Verdict.HOLDS


def _job(run: Result) -> AuditCheck:
    """Return how the job ended: a broken contract is the guest's doing, a full disk is not."""
    if run.failure is None:
        return AuditCheck(name="job", verdict=Verdict.HOLDS, reason=f"its status is {run.status}")
    guilty = run.failure.kind in GUEST_AT_FAULT
    return AuditCheck(
        name="job",
        verdict=Verdict.DOES_NOT_HOLD if guilty else Verdict.CANNOT_TELL,
        reason=f"{run.failure.kind}: {run.failure.message}",
    )


def _gate(original: Result, run: Result) -> AuditCheck:
    for whose, result in (("the result's", original), ("here, the", run)):
        gate = result.gate
        if result.status == "accuracy_failed" or (gate is not None and gate.passed is False):
            reason = f"{whose} gate failed: {gate.reason if gate else 'no reason is recorded'}"
            return AuditCheck(name="gate", verdict=Verdict.DOES_NOT_HOLD, reason=reason)
    if run.gate is None or run.gate.passed is None:
        reason = run.gate.reason if run.gate else "nothing was scored"
        return AuditCheck(name="gate", verdict=Verdict.CANNOT_TELL, reason=reason)
    return AuditCheck(name="gate", verdict=Verdict.HOLDS, reason=run.gate.reason)


def _figure(figure: RerunFigure) -> AuditCheck:
    """Return the rerun's verdict; that a throughput was higher here does not refute the lower one."""
    verdict = BY_OUTCOME[figure.outcome]
    speed = figure.name in ("p_infer_core", "p_infer_whole")
    if verdict is Verdict.DOES_NOT_HOLD and speed and (figure.ratio or 0) > 1:
        verdict = Verdict.CANNOT_TELL
    return AuditCheck(name=figure.name, verdict=verdict, reason=figure.reason)


def _core_outputs(run: Result) -> AuditCheck:
    """Return whether the sampled outputs of the core loop were computed again, by the engine and in fp32.

    Where they differ there is no such result: the contract is broken, or the gate has failed.
    """
    again = _checked(run, "core_check")
    fidelity = run.metrics.core_fidelity
    missing = [
        what
        for what, found in (("by the engine", again), ("in fp32", fidelity))
        if found is None or found == {}
    ]
    if missing or fidelity is None:
        reason = f"outputs of the core loop were not computed again {' and '.join(missing)}"
        return AuditCheck(name="core outputs", verdict=Verdict.CANNOT_TELL, reason=reason)
    reason = (
        f"{again.get('items')} sampled items computed again, at most {again.get('largest_difference'):.2g} "
        f"apart; {fidelity.items} in fp32, cosine at least {fidelity.cosine_min:.6f}"
    )
    return AuditCheck(name="core outputs", verdict=Verdict.HOLDS, reason=reason)


def _repeated_inputs(run: Result) -> AuditCheck:
    """Return whether repeated inputs were faster than fresh ones, round by round: an engine that remembers is."""
    rates = _checked(run, "repeated_inputs")
    pairs = zip(rates.get("repeated", ()), rates.get("fresh", ()), strict=False)
    ratios = [repeated / fresh for repeated, fresh in pairs if fresh > 0]
    interval = median_interval(ratios)
    if interval is None:
        reason = "the run did not compare repeated inputs with fresh ones"
        return AuditCheck(name="repeated inputs", verdict=Verdict.CANNOT_TELL, reason=reason)
    measured = f"{interval.low:.3f} to {interval.high:.3f} times the rate of fresh inputs"
    # In every round: on a noisy machine some are faster by accident.
    if min(ratios) > FASTER_ALLOWED:
        verdict, then = Verdict.DOES_NOT_HOLD, "the engine remembers what it computed"
    elif interval.high <= FASTER_ALLOWED:
        verdict, then = Verdict.HOLDS, f"at most {FASTER_ALLOWED:g} is allowed"
    else:
        verdict, then = Verdict.CANNOT_TELL, "the rounds differ too much; repeat on an idle machine"
    return AuditCheck(name="repeated inputs", verdict=verdict, reason=f"{measured}; {then}")


def _checked(run: Result, what: str) -> dict[str, Any]:
    """Return what the first infer process reported of the core loop; {} where it did not."""
    found = at(run.provenance, ("core_checks", "infer-0", what))
    return found if isinstance(found, dict) else {}


def _seeds(original: Result, run: Result) -> AuditCheck:
    ours, theirs = ([*_seeds_of(result)] for result in (original, run))
    if not theirs:
        reason = "the core loop reported no seed of its inputs"
        return AuditCheck(name="seeds", verdict=Verdict.CANNOT_TELL, reason=reason)
    together = [*ours, *theirs]
    if len(set(together)) < len(together):
        reason = "two processes drew the same inputs, which a hook could foresee"
        return AuditCheck(name="seeds", verdict=Verdict.DOES_NOT_HOLD, reason=reason)
    processes = counted(len(theirs), "process", "processes")
    reason = f"{processes} with seeds of their own, none of them the result's"
    return AuditCheck(name="seeds", verdict=Verdict.HOLDS, reason=reason)


def _seeds_of(result: Result) -> Iterator[int]:
    said = result.provenance.get("core_checks")
    for name, stage in (said if isinstance(said, dict) else {}).items():
        seed = at(stage, ("core_inputs", "seed"))
        if name.startswith(StageName.INFER.value) and isinstance(seed, int):
            yield seed


def _physics(original: Result, run: Result) -> AuditCheck:
    for whose, result in (("the result", original), ("here", run)):
        found = [one for one in result.warnings if one.code == WarningCode.IMPLAUSIBLE]
        if found:
            reason = f"{whose}: {found[0].message}"
            return AuditCheck(name="physics", verdict=Verdict.DOES_NOT_HOLD, reason=reason)
    mfu = run.metrics.mfu
    known = "no peak of the chip is known" if mfu is None else f"MFU is {mfu:.1f} %"
    reason = f"{known}; core is not faster than decoding explains"
    return AuditCheck(name="physics", verdict=Verdict.HOLDS, reason=reason)


def _clock(run: Result) -> AuditCheck:
    """Return whether the guest's clock agrees with the driver's, over the infer stages that ran.

    A loop that disagrees broke the contract; here it counts how closely the driver could tell.
    """
    clock = at(run.provenance, ("core", "clock"))
    if clock != "harness":
        reason = f"the core loop was timed by {clock or 'an unknown clock'}, not by the harness"
        return AuditCheck(name="clock", verdict=Verdict.CANNOT_TELL, reason=reason)
    loops = _loops_by_both_clocks(run)
    if loops is None:
        return _coarse_clock(run)
    name, worst = max(loops.items(), key=lambda one: one[1])
    within = f"the {name} loop by the driver's own clock within {100 * worst:.2g} %"
    if worst <= CLOCK_WITHIN:
        return AuditCheck(name="clock", verdict=Verdict.HOLDS, reason=f"at worst {within}")
    reason = f"answers came too late to time {within}: repeat on an idle machine"
    return AuditCheck(name="clock", verdict=Verdict.CANNOT_TELL, reason=reason)


def _loops_by_both_clocks(run: Result) -> dict[str, float] | None:
    """Return each loop of infer, with how closely the driver timed it as a share; None if it missed one."""
    clock = run.provenance.get("clock")
    found = {
        name: stage
        for name, stage in (clock if isinstance(clock, dict) else {}).items()
        if name.startswith(StageName.INFER.value)
    }
    if not found or any(stage["unchecked"] for stage in found.values()):
        return None
    return {
        f"{stage_name} {name}": loop["within_s"] / loop["guest_s"]
        for stage_name, stage in found.items()
        for name, loop in stage["loops"].items()
    }


def _coarse_clock(run: Result) -> AuditCheck:
    """Return the same by the durations of whole stages, where the driver could not ask (slurm)."""
    stages = [one for one in run.stages if one.name is StageName.INFER]
    slow = [one for one in stages if _missed_s(one) > START_S + CLOCK_SHARE * one.wall_s]
    if slow:
        worst = max(slow, key=_missed_s)
        reason = (
            f"a stage of {worst.wall_s:.1f} s by the driver's clock reported {worst.guest_s:.1f} s"
        )
        return AuditCheck(name="clock", verdict=Verdict.DOES_NOT_HOLD, reason=reason)
    most = max(map(_missed_s, stages), default=0.0)
    reason = (
        f"the driver could not ask for the time; the guest's clock misses at most {most:.1f} s of a stage, its "
        "start included"
    )
    return AuditCheck(name="clock", verdict=Verdict.HOLDS, reason=reason)


def _missed_s(stage: StageRecord) -> float:
    """Return the seconds of a stage that its own clock did not count."""
    return 0.0 if stage.guest_s is None else stage.wall_s - stage.guest_s


def _caches(run: Result) -> AuditCheck:
    made_again = run.provenance.get("made_again")
    if made_again:
        reason = f"damaged and made again: {', '.join(sorted(made_again))}; run the audit again"
        return AuditCheck(name="caches", verdict=Verdict.CANNOT_TELL, reason=reason)
    reason = "every cached file was read again and has its recorded digest"
    return AuditCheck(name="caches", verdict=Verdict.HOLDS, reason=reason)


def _inputs(rerun: Rerun) -> AuditCheck:
    other = [one for one in rerun.differences if one.weight is not Weight.NAMED]
    if other:
        listed = "; ".join(f"{one.what}: {one.original}, here {one.rerun}" for one in other)
        return AuditCheck(name="inputs", verdict=Verdict.CANNOT_TELL, reason=listed)
    named = ", ".join(one.what for one in rerun.differences)
    reason = "weights, dataset, ONNX and stacks are the result's"
    return AuditCheck(
        name="inputs",
        verdict=Verdict.HOLDS,
        reason=f"{reason}; differing: {named}" if named else reason,
    )
