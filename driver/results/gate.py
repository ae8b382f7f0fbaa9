"""The accuracy gate, which decides whether a figure counts or is shown as failed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.result import Gate

if TYPE_CHECKING:
    from driver.models.case import CaseManifest, GateSpec, MetricSpec
    from driver.models.report import Fidelity
    from driver.models.result import Metrics

FP32_COSINE_MIN = 0.99999
"""Bound of fp32, whatever the case. Measured: fp32 of other engines is within 1e-11 of torch's (ViT), bf16
is 1e-4 to 6e-4 away (case.toml has those). The room between is for chips that sum in other orders or
approximate functions; TF32, near fp16's 1e-6, fits into it too.
"""

SLACK = 10.0
"""A bound's distance from 1 grows by this factor where something else also decides: the validated accuracy,
or, for the core loop's samples, the check inside the guest. Those samples are not the dataset's items.
"""


EIGHT_BITS = ("int8", "fp8")
"""The case's bound is for 16 bits. With eight, its distance from 1 grows by SLACK: `vit_digits` has 0.9926."""


def cosine_bound(spec: GateSpec, arithmetic: str) -> float | None:
    """Return the smallest cosine with fp32 that raw outputs of ``arithmetic`` may have."""
    if arithmetic in EIGHT_BITS and spec.fidelity_cosine_min is not None:
        return slackened(spec.fidelity_cosine_min)
    if arithmetic != "fp32":
        return spec.fidelity_cosine_min
    if spec.fidelity_cosine_min_fp32 is not None:
        return spec.fidelity_cosine_min_fp32
    return max(FP32_COSINE_MIN, spec.fidelity_cosine_min or 0.0)


def slackened(bound: float) -> float:
    """Return a bound that is SLACK times as far from 1."""
    return round(1 - SLACK * (1 - bound), 9)


def apply_gate(case: CaseManifest, metrics: Metrics, arithmetic: str) -> Gate:
    """Check raw outputs and, if labels gave both, the accuracies of inference and validation.

    Validation runs on the same device, so a fault that both share lowers both accuracies alike: equal
    accuracies never excuse outputs far from fp32's. Core's samples must be faithful as well.
    """
    scored = _scored_gate(case, metrics, arithmetic)
    if scored.passed is False:
        return scored
    bound = cosine_bound(case.gate, arithmetic)
    return _core_gate(case.gate, metrics.core_fidelity, bound) or scored


def _scored_gate(case: CaseManifest, metrics: Metrics, arithmetic: str) -> Gate:
    bound = cosine_bound(case.gate, arithmetic)
    if metrics.acc_kind == "agreement":
        return gate_fidelity(case.gate, metrics.fidelity, bound)
    if metrics.acc_infer is None or metrics.acc_val is None:
        return gate_fidelity(case.gate, metrics.fidelity, bound, "no validation, outputs ")
    by_accuracy = gate_accuracy(case.gate, case.metric, metrics.acc_infer, metrics.acc_val)
    if not by_accuracy.passed or metrics.fidelity is None or bound is None:
        return by_accuracy
    lower = bound if arithmetic == "fp32" else slackened(bound)
    because = f"{case.metric.name} matches validation, but outputs were "
    by_outputs = gate_fidelity(case.gate, metrics.fidelity, lower, because)
    return by_accuracy if by_outputs.passed else by_outputs


def _core_gate(spec: GateSpec, found: Fidelity | None, bound: float | None) -> Gate | None:
    """Return the failed gate of core outputs that are not the model's; None if they are, or unknown."""
    if found is None or bound is None or found.cosine_min >= slackened(bound):
        return None
    return gate_fidelity(spec, found, slackened(bound), f"core loop, {found.items} sampled items: ")


def relative_drop(measured: float, reference: float, *, higher_is_better: bool = True) -> float:
    """Return how much worse ``measured`` is, as a share of ``reference``; negative if it is better."""
    if reference == 0:
        return 0.0 if measured == 0 else float("-inf")
    drop = (reference - measured) / abs(reference)
    return drop if higher_is_better else -drop


def gate_accuracy(
    spec: GateSpec, metric: MetricSpec, acc_infer: float | None, acc_val: float | None
) -> Gate:
    """Compare the accuracies of inference and validation; ``passed`` is None if one is missing."""
    if acc_infer is None or acc_val is None:
        return Gate(
            passed=None,
            allowed_relative_drop=spec.relative_drop,
            fidelity_cosine_min=spec.fidelity_cosine_min,
            reason="not checked: inference or validation gave no accuracy (the stack has no validate "
            "engine, or a smoke run skipped it)",
        )
    drop = relative_drop(acc_infer, acc_val, higher_is_better=metric.higher_is_better)
    passed = drop <= spec.relative_drop
    verdict = "within" if passed else "more than"
    worse = "lower" if metric.higher_is_better else "higher"
    return Gate(
        passed=passed,
        reference=acc_val,
        allowed_relative_drop=spec.relative_drop,
        fidelity_cosine_min=spec.fidelity_cosine_min,
        drop=drop,
        reason=f"{metric.name} {acc_infer:.2f} vs. {acc_val:.2f}: {drop:.2%} {worse}, {verdict} the "
        f"allowed {spec.relative_drop:.0%} ({spec.reason})",
    )


def gate_fidelity(
    spec: GateSpec, fidelity: Fidelity | None, bound: float | None, because: str = ""
) -> Gate:
    """Compare raw outputs with the fp32 golden ones, for jobs without a validated accuracy.

    Synthetic weights give many classes nearly equal scores, so top-1 agreement alone would fail on
    rounding. ``bound`` is the smallest cosine; ``because`` starts the reason: why accuracy does not decide.
    """
    if fidelity is None or bound is None:
        return Gate(
            passed=None,
            allowed_relative_drop=spec.relative_drop,
            fidelity_cosine_min=bound,
            reason=f"{because}not checked: there are no golden outputs, or the case sets no bound for "
            "them",
        )
    passed = fidelity.cosine_min >= bound
    return Gate(
        passed=passed,
        reference=bound,
        allowed_relative_drop=spec.relative_drop,
        fidelity_cosine_min=bound,
        reason=f"{because}checked against fp32 golden outputs: cosine {fidelity.cosine_min:.6f}, "
        f"{'at least' if passed else 'below'} {bound}",
    )
