"""Whether a model's weights, and its keys and values, fit the memory that is known of before a run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.models.base import ELEMENT_BYTES
from driver.plan.quantization import can_calibrate

if TYPE_CHECKING:
    from driver.models.vendor import EngineSpec
    from driver.plan.choice import Choice
    from driver.system.host.machine import HostFacts

GIB = float(1 << 30)
STORED_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def require_memory(choice: Choice, host: HostFacts) -> None:
    """Raise EnvironmentFault if a stage of the job cannot hold what it must: said before anything is fetched.

    The device needs the weights in the precision's element type, and the keys and values of a batch; export and score,
    which run on this host, the weights in the case's ``weights_dtype``. Memory that is not known is taken to be enough.
    """
    total, what = _device_bytes(choice, host)
    arithmetic = choice.precision.arithmetic
    weights, cache = weights_bytes(choice, arithmetic), cache_bytes(choice, arithmetic)
    if total is not None and weights + cache > total:
        raise EnvironmentFault(
            f"the weights of {choice.case.name} take {weights / GIB:.1f} GiB in {choice.precision_name}"
            f"{_and_cache(cache)}, but {what} has {total / GIB:.1f} GiB",
            _remedy(choice, total, cache),
        )
    kept = stored_bytes(choice)
    if not choice.elsewhere and kept > host.memory_bytes:
        raise EnvironmentFault(
            f"the reference of {choice.case.name} keeps {kept / GIB:.1f} GiB of weights in memory, but this host has "
            f"{host.memory_bytes / GIB:.1f} GiB",
            "run it on a host with more memory",
        )


def validation_fits(choice: Choice, host: HostFacts, precision: str) -> bool:
    """Return whether the framework's engine can hold the weights and a batch's keys and values in ``precision``."""
    total, _ = _device_bytes(choice, host)
    engine = choice.vendor.manifest.engines[str(choice.engine.validate_engine)]
    arithmetic = engine.precisions[precision].arithmetic
    needed = weights_bytes(choice, arithmetic) + cache_bytes(choice, arithmetic)
    return total is None or needed <= total


def stored_bytes(choice: Choice) -> int:
    """Return the bytes of the case's weights as export and score keep them."""
    model = choice.case.manifest.model
    return model.parameters * STORED_BYTES[model.weights_dtype]


def weights_bytes(choice: Choice, arithmetic: str) -> int:
    """Return the bytes of the case's weights in this arithmetic."""
    return choice.case.manifest.model.parameters * ELEMENT_BYTES[arithmetic]


def cache_bytes(choice: Choice, arithmetic: str) -> int:
    """Return the bytes of a batch's keys and values at its end, 0 for other cases."""
    spec = choice.generation
    if spec is None:
        return 0
    of_a_token = 2 * spec.layers * spec.kv_heads * spec.head_size
    cached = choice.batch_size * (spec.prompt + spec.tokens - 1)
    return cached * of_a_token * ELEMENT_BYTES[arithmetic]


def _device_bytes(choice: Choice, host: HostFacts) -> tuple[int | None, str]:
    """Return the device's memory in bytes, None where it is not known, and what it is called."""
    if choice.vendor.manifest.runs_on_host:
        return (None if choice.elsewhere else host.memory_bytes), "this host"
    nominal = choice.chip.memory_gib
    return (None if nominal is None else int(nominal * GIB)), choice.chip_name


def _and_cache(cache: int) -> str:
    return f", and keys and values {cache / GIB:.1f} GiB" if cache else ""


def _remedy(choice: Choice, total: int, cache: int) -> str:
    """Return what fits: a precision of the engine, of another one, or fewer keys and values."""
    if weights_bytes(choice, choice.precision.arithmetic) < total and cache:
        return "use a smaller BS, PROMPT or TOKENS"
    engines = choice.vendor.manifest.engines
    for name in (choice.engine_name, *engines):
        for precision in _fitting(choice, engines[name], total):
            engine = "" if name == choice.engine_name else f"ENGINE={name} "
            return f"use {engine}PRECISION={precision}, or a device with more memory"
    return "use a device with more memory"


def _fitting(choice: Choice, engine: EngineSpec, total: int) -> list[str]:
    if choice.generation is not None and not engine.generates:
        return []
    return [
        name
        for name, one in engine.precisions.items()
        if (not one.stacks or choice.stack.name in one.stacks)
        and can_calibrate(choice.case, one, choice.request.data)
        and weights_bytes(choice, one.arithmetic) + cache_bytes(choice, one.arithmetic) <= total
    ]
