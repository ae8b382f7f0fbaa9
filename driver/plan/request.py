"""The request: the user's variables, parsed and range-checked; names are not yet looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.errors import UsageFault, unknown
from driver.models.base import Frozen, RunnerName, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_BATCH = 65_536

VARIABLES: dict[str, str] = {
    "case": "case or short name (vit_digits)",
    "vendor": "vendor (cpu)",
    "stack": "pinned image of the vendor",
    "engine": "what executes the model",
    "precision": "fp32, fp16, bf16, …",
    "bs": "batch size",
    "chip": "hardware model, for its peaks",
    "device": "which device (0)",
    "runner": "docker, apptainer, process or slurm",
    "tier": "smoke, standard or official",
    "data": "dataset folder, or `synthetic`",
    "weights": "weights folder or file, or `synthetic`",
    "limit": "use only this many items; makes it a smoke run",
    "repeat": "number of measurements, each in a fresh process",
    "wait": "seconds to wait for a device that another run has; 0: fail at once",
    "input": "file, or tensor: preprocessed once",
    "preprocess": "named set of preprocessing constants of the case",
    "scenario": "MLPerf's load: offline, singlestream, multistream or server",
    "latency_bound": "of SCENARIO=server: 99 % of the queries are answered within it (15ms)",
    "target_qps": "of SCENARIO=server: queries per second; without it, the highest rate is searched",
}
"""The variables of every run, with their help texts; a case adds its own options."""


class Request(Frozen):
    """One run as requested; None means the default of the case, the vendor or the host."""

    case: str = "vit_digits"
    vendor: str = "cpu"
    stack: str | None = None
    engine: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    chip: str | None = None
    device: str = "0"
    runner: RunnerName | None = None
    tier: Tier | None = None
    data: str | None = None
    weights: str | None = None
    limit: int | None = None
    repeat: int | None = None
    wait_s: int | None = None
    input_kind: Literal["file", "tensor"] = "file"
    preprocess: str | None = None
    scenario: str | None = None
    latency_bound: str | None = None
    target_qps: str | None = None
    host: str | None = None
    """The other host whose engine runs the stages; a setting (HOST), not a variable of the plan."""
    options: tuple[tuple[str, str], ...] = ()
    """Options of the case by name, unparsed; ``driver.plan.options`` checks them."""


def parse_request(given: Mapping[str, str | None]) -> Request:
    """Parse the variables of one run; an empty value counts as not given.

    A name that is not in VARIABLES is taken as an option of the case.

    Raises UsageFault for an invalid number and for an unknown word.
    """
    said = {key: value for key, value in given.items() if value}
    return Request(
        case=said.get("case", "vit_digits"),
        vendor=said.get("vendor", "cpu"),
        stack=said.get("stack"),
        engine=said.get("engine"),
        precision=said.get("precision"),
        batch_size=positive("BS", said["bs"], LARGEST_BATCH) if "bs" in said else None,
        chip=said.get("chip"),
        device=said.get("device", "0"),
        runner=_runner(said["runner"]) if "runner" in said else None,
        tier=_tier(said["tier"]) if "tier" in said else None,
        data=said.get("data"),
        weights=said.get("weights"),
        limit=positive("LIMIT", said["limit"]) if "limit" in said else None,
        repeat=positive("REPEAT", said["repeat"], 100) if "repeat" in said else None,
        wait_s=_wait(said["wait"]) if "wait" in said else None,
        input_kind=_input_kind(said.get("input", "file")),
        preprocess=said.get("preprocess"),
        scenario=said.get("scenario"),
        latency_bound=said.get("latency_bound"),
        target_qps=said.get("target_qps"),
        options=tuple(sorted((name, said[name]) for name in set(said) - set(VARIABLES))),
    )


def positive(variable: str, text: str, largest: int = 10**9) -> int:
    """Return ``text`` as a whole number from 1 to ``largest``; UsageFault otherwise."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    plain = text.strip()
    if not 1 <= number <= largest or not (plain.isascii() and plain.isdecimal()):
        raise UsageFault(
            f"{variable}={text} is not a whole number from 1 to {largest}",
            f"for example {variable}=8",
        )
    return number


def split_list(text: str | None) -> tuple[str | None, ...]:
    """Split ``"1,4,8"`` into its members, in order, without duplicates; None gives ``(None,)``."""
    if not text:
        return (None,)
    members = [member.strip() for member in text.split(",")]
    if not all(members):
        raise UsageFault(f"the list {text!r} has an empty item", "for example BS=1,4,8")
    return tuple(dict.fromkeys(members))


def _wait(text: str) -> int:
    return 0 if text.strip() == "0" else positive("WAIT", text)


def _runner(text: str) -> RunnerName:
    if text not in set(RunnerName):
        raise unknown("runner", text, RunnerName)
    return RunnerName(text)


def _tier(text: str) -> Tier:
    if text not in set(Tier):
        raise unknown("tier", text, Tier)
    return Tier(text)


def _input_kind(text: str) -> Literal["file", "tensor"]:
    if text == "file":
        return "file"
    if text == "tensor":
        return "tensor"
    raise unknown("input kind", text, ("file", "tensor"))
