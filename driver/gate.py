"""The accuracy gate, pure: a figure whose accuracy failed is shown as failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.result import Gate

if TYPE_CHECKING:
    from driver.models.manifest import CaseManifest, GateSpec, MetricSpec
    from driver.models.report import Fidelity
    from driver.models.result import Metrics

FAR_BELOW = 0.5
"""Outputs whose cosine to fp32's reaches no more than this share of the case's bound are another model's."""


def apply_gate(case: CaseManifest, metrics: Metrics) -> Gate:
    """Hold inference against validation where labels gave both an accuracy, else against fp32's outputs.

    Validation runs on the same device: a fault that both share costs both the same accuracy. So
    outputs far below the bound fail whatever the accuracies say.
    """
    if metrics.acc_kind == "agreement":
        return gate_fidelity(case.gate, metrics.fidelity)
    if metrics.acc_infer is None or metrics.acc_val is None:
        return gate_fidelity(case.gate, metrics.fidelity, "nothing validated, ")
    by_accuracy = gate_accuracy(case.gate, case.metric, metrics.acc_infer, metrics.acc_val)
    if by_accuracy.passed and _is_far_below(case.gate, metrics.fidelity):
        return gate_fidelity(
            case.gate, metrics.fidelity, f"{case.metric.name} equals validation's, "
        )
    return by_accuracy


def _is_far_below(spec: GateSpec, fidelity: Fidelity | None) -> bool:
    bound = spec.fidelity_cosine_min
    return fidelity is not None and bound is not None and fidelity.cosine_min < FAR_BELOW * bound


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
            fidelity_cosine_min=spec.fidelity_cosine_min,
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
        fidelity_cosine_min=spec.fidelity_cosine_min,
        drop=drop,
        reason=f"{metric.name} {acc_infer:.2f} against {acc_val:.2f}: {drop:.2%} lower, {verdict} the "
        f"allowed {spec.relative_drop:.0%} ({spec.reason})",
    )


def gate_fidelity(spec: GateSpec, fidelity: Fidelity | None, because: str = "") -> Gate:
    """Hold raw outputs against the fp32 golden ones: what is left to hold on to without validation.

    Random weights put many classes close together, so top-1 agreement alone would blame rounding.
    ``because`` begins the reason: why it is not the accuracy that decides.
    """
    bound = spec.fidelity_cosine_min
    if fidelity is None or bound is None:
        return Gate(
            passed=None,
            allowed_relative_drop=spec.relative_drop,
            fidelity_cosine_min=bound,
            reason=f"{because}held against nothing: no golden outputs, or the case sets no bound for "
            "them",
        )
    passed = fidelity.cosine_min >= bound
    return Gate(
        passed=passed,
        reference=bound,
        allowed_relative_drop=spec.relative_drop,
        fidelity_cosine_min=bound,
        reason=f"{because}held against fp32 golden outputs: cosine {fidelity.cosine_min:.6f}, "
        f"{'at least' if passed else 'below'} {bound}",
    )
