"""A case's own options: checks the user's values against case.toml. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault, nearest
from driver.plan.request import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from driver.catalog.catalog import Case
    from driver.models.case import OptionSpec, OptionValue
    from driver.plan.request import Request

BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def parse_options(request: Request, case: Case) -> dict[str, OptionValue]:
    """Return the given options by name, each of its declared type and within its bounds.

    Raises UsageFault for an unknown option, and for a value that its type or bounds do not allow.
    """
    declared = case.manifest.options
    for name, _ in request.options:
        if name not in declared:
            raise _unknown(name, case)
    return {name: _parse(name.upper(), text, declared[name]) for name, text in request.options}


def resolved(given: Mapping[str, OptionValue], case: Case) -> dict[str, OptionValue]:
    """Return every option of the case, given or default (for items: the whole dataset)."""
    return {
        name: given.get(name, case.manifest.data.count if spec.default is None else spec.default)
        for name, spec in case.manifest.options.items()
    }


def shrinking(given: Mapping[str, OptionValue], case: Case) -> str | None:
    """Return the first option that makes the run smaller than the full case, None if none does."""
    whole = resolved({}, case)
    smaller = (
        name
        for name, value in given.items()
        if case.manifest.options[name].smaller_is_smoke and _is_less(value, whole[name])
    )
    return next(smaller, None)


def _is_less(value: OptionValue, whole: OptionValue) -> bool:
    numbers = isinstance(value, int | float) and isinstance(whole, int | float)
    return numbers and float(value) < float(whole)


def _unknown(name: str, case: Case) -> UsageFault:
    own = [option.upper() for option in case.manifest.options]
    common = [variable.upper() for variable in VARIABLES]
    listed = f"its options are {', '.join(own)}" if own else "it has no options of its own"
    return UsageFault(
        f"case {case.name} has no option {name.upper()}{nearest(name.upper(), (*own, *common))}; {listed}",
        f"every run takes {' '.join(common)}; `make list` shows each case's own",
    )


def _parse(variable: str, text: str, spec: OptionSpec) -> OptionValue:
    try:
        value = _READERS[spec.type](text.strip())
    except (KeyError, ValueError):
        raise _not_a_value(variable, text, spec) from None
    if isinstance(value, str):
        fits = not spec.choices or value in spec.choices
    else:
        fits = _in_bounds(float(value), spec)
    if not fits:
        raise _not_a_value(variable, text, spec)
    return value


def _in_bounds(value: float, spec: OptionSpec) -> bool:
    least = float("-inf") if spec.least is None else spec.least
    most = float("inf") if spec.most is None else spec.most
    return least <= value <= most


def _not_a_value(variable: str, text: str, spec: OptionSpec) -> UsageFault:
    kinds = {
        "int": "a whole number",
        "float": "a number",
        "bool": "1 or 0",
        "text": "one of these words",
    }
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("at least", spec.least), ("at most", spec.most))
        if bound is not None
    ]
    expected = ", ".join((kinds[spec.type], *bounds, *spec.choices))
    example = spec.trial or spec.default or (spec.choices[0] if spec.choices else 1)
    return UsageFault(
        f"{variable}={text} is not {expected} ({spec.help})", f"for example {variable}={example}"
    )


def _plain(text: str) -> str:
    """Return a number's text; ValueError for "1_000" and non-ASCII digits, which int() accepts."""
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return text


_READERS: dict[str, Callable[[str], OptionValue]] = {
    "int": lambda text: int(_plain(text)),
    "float": lambda text: float(_plain(text)),
    "bool": lambda text: BOOLEANS[text.lower()],
    "text": str,
}
