"""Cases of generation: which engines run them, and whether a prompt and its tokens fit the model. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.case import BOUND_OPTIONS
from driver.models.job import GenerationJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Case
    from driver.catalog.vendor import Vendor
    from driver.models.case import OptionValue


def require_engine(
    case: Case, vendor: Vendor, name: str, stack: str | None, vendors: Mapping[str, Vendor]
) -> None:
    """Raise UsageFault for a case of generation on an engine without prefill and decode, and for others on one of it.

    ``stack`` is STACK, which a remedy replaces where it lacks the engine; ``vendors`` are all of them: the
    remedy names those that can.
    """
    engine = vendor.manifest.engines[name]
    if case.manifest.generation is None and engine.generates == "only":
        raise _only_generates(case, vendor, name, stack)
    if case.manifest.generation is None or engine.generates:
        return
    able = _generating(vendor)
    others = [other for other, one in vendors.items() if _generating(one)]
    raise UsageFault(
        f"case {case.name} generates token by token, which engine {name} of {vendor.name} does not "
        "implement (prefill and decode)",
        _choose(vendor, able[0], stack)
        if able
        else f"choose {' or '.join(f'VENDOR={other}' for other in sorted(others))}",
    )


def _only_generates(case: Case, vendor: Vendor, name: str, stack: str | None) -> UsageFault:
    engines = vendor.manifest.engines
    others = [other for other, spec in engines.items() if spec.generates != "only"]
    return UsageFault(
        f"engine {name} of {vendor.name} runs only language models that generate, and {case.name} does not",
        _choose(vendor, others[0], stack) if others else "choose another VENDOR",
    )


def _choose(vendor: Vendor, engine: str, stack: str | None) -> str:
    stacks = vendor.manifest.engines[engine].stacks
    other = "" if stack is None or stack in stacks else f" STACK={stacks[0]}"
    return f"choose ENGINE={engine}{other}"


def _generating(vendor: Vendor) -> list[str]:
    return [name for name, spec in vendor.manifest.engines.items() if spec.generates]


def generation_job(case: Case, options: Mapping[str, OptionValue]) -> GenerationJob | None:
    """Return what a job generates, None for other cases. Raises UsageFault if it exceeds the context."""
    spec = case.manifest.generation
    if spec is None:
        return None
    prompt, tokens = int(options["prompt"]), int(options["tokens"])
    if prompt + tokens > spec.context:
        raise UsageFault(
            f"PROMPT={prompt} and TOKENS={tokens} are {prompt + tokens} tokens, but the context of "
            f"{case.name} has {spec.context}",
            f"for example PROMPT={max(1, spec.context - tokens)}"
            if tokens < spec.context
            else f"for example TOKENS={spec.context // 2}",
        )
    bounds = {name: float(options[name]) for name in BOUND_OPTIONS if name in options}
    return GenerationJob(**spec.model_dump(), prompt=prompt, tokens=tokens, **bounds)
