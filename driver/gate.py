"""The accuracy gate, pure: a figure whose accuracy failed is shown as failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.result import Gate

if TYPE_CHECKING:
    from driver.models.manifest import GateSpec, MetricSpec
    from driver.models.report import Fidelity


def relative_drop(measured: float, reference: float, *, higher_is_better: bool = True) -> float:
    """Return by which share of ``reference`` the measured accuracy lies below it (negative: above)."""
    if reference == 0:
        return 0.0 if measured == 0 else float("-inf")
    drop = (reference - measured) / abs(reference)
    return drop if higher_is_better else -drop


def gate_accuracy(
    spec: GateSpec, metric: MetricSpec, acc_infer: float | None, acc_val: float | None
) -> Gate:
    """Hold inference's accuracy against validation's; ``passed`` is None when one of them is missing."""
    if acc_infer is None or acc_val is None:
        return Gate(
            passed=None,
            allowed_relative_drop=spec.relative_drop,
            reason="held against nothing: this stack has no validate engine, a look left it out, or it "
            "gave no accuracy",
        )
    drop = relative_drop(acc_infer, acc_val, higher_is_better=metric.higher_is_better)
    passed = drop <= spec.relative_drop
    verdict = "within" if passed else "more than"
    return Gate(
        passed=passed,
        reference=acc_val,
        allowed_relative_drop=spec.relative_drop,
        drop=drop,
        reason=f"{metric.name} {acc_infer:.2f} against {acc_val:.2f}: {drop:.2%} lower, {verdict} the "
        f"allowed {spec.relative_drop:.0%} ({spec.reason})",
    )


def gate_fidelity(spec: GateSpec, fidelity: Fidelity | None) -> Gate:
    """Hold raw outputs against the fp32 golden ones: what is left to hold on to without labels.

    Random weights put many classes close together, so top-1 agreement alone would blame rounding.
    """
    bound = spec.fidelity_cosine_min
    if fidelity is None or bound is None:
        return Gate(
            passed=None,
            allowed_relative_drop=spec.relative_drop,
            reason="held against nothing: no golden outputs, or the case sets no bound for them",
        )
    passed = fidelity.cosine_min >= bound
    return Gate(
        passed=passed,
        reference=bound,
        allowed_relative_drop=spec.relative_drop,
        reason=f"held against fp32 golden outputs: cosine {fidelity.cosine_min:.6f}, "
        f"{'at least' if passed else 'below'} {bound} ({spec.reason})",
    )
