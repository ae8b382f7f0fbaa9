"""The request: what the user typed, parsed and bounded, names not yet looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.errors import UsageFault, unknown
from driver.models.base import Frozen, RunnerName, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_BATCH = 65_536


class Request(Frozen):
    """One run as asked for; None means the default of the case, the vendor or the host."""

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
    input_kind: Literal["file", "tensor"] = "file"
    preprocess: str | None = None
    options: tuple[tuple[str, int], ...] = ()


def parse_request(given: Mapping[str, str | None]) -> Request:
    """Parse the variables of one run; an empty text counts as not given.

    Raises UsageFault, with the value and what to type, for a number that is none or an unknown word.
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
        input_kind=_input_kind(said.get("input", "file")),
        preprocess=said.get("preprocess"),
        options=tuple(
            (name, positive(name.upper(), said[name]))
            for name in ("steps", "prompts")
            if name in said
        ),
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
    """Split ``"1,4,8"`` into its members, order kept, doubles dropped; nothing gives ``(None,)``."""
    if not text:
        return (None,)
    members = [member.strip() for member in text.split(",")]
    if not all(members):
        raise UsageFault(f"the list {text!r} has an empty member", "for example BS=1,4,8")
    return tuple(dict.fromkeys(members))


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
