"""What a case needs and this host lacks, weights or a dataset, as one error with whole commands to type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Weights or a dataset that nothing on this host names.

    ``what`` is the need ("weights"), ``pair`` the variable with a placeholder, ``setting`` the line of
    assay.local.toml that would name it, ``synthetic`` what the variable's value of that name gives.
    """

    what: str
    source: str
    pair: str
    setting: str
    synthetic: str
    prepare: str = ""
    """A command that brings it here once and for all; "" for none."""

    @property
    def variable(self) -> str:
        """The variable that names it: WEIGHTS or DATA."""
        return self.pair.partition("=")[0]


class MissingFault(DataFault):
    """A case needs what this host does not have; ``lacks`` says what, in the order of the variables."""

    def __init__(self, case: str, lacks: Sequence[Lack]) -> None:
        self.case = case
        self.lacks = tuple(lacks)
        has = "this host has none" if len(lacks) == 1 else "this host has neither"
        sources = "; ".join(f"{one.what}: {one.source}" for one in lacks)
        super().__init__(
            f"case {case} needs {_joined(one.what for one in lacks)}, but {has} ({sources})",
            _remedy(lacks),
        )


def _remedy(lacks: Sequence[Lack]) -> str:
    prepare = "".join(f", or type `{one.prepare}` once" for one in lacks if one.prepare)
    return (
        f"type {' '.join(one.pair for one in lacks)}{prepare}, or set "
        f"{_joined(one.setting for one in lacks)} in assay.local.toml, or type "
        f"{' '.join(f'{one.variable}=synthetic' for one in lacks)} "
        f"({', '.join(one.synthetic for one in lacks)}; the result is marked)"
    )


def _joined(texts: Iterable[str]) -> str:
    return " and ".join(texts)


def raise_all(faults: Sequence[DataFault]) -> None:
    """Raise one error for everything that a case lacks, so that nobody finds the second after the first.

    Nothing is raised without faults.
    """
    if not faults:
        return
    missing = [fault for fault in faults if isinstance(fault, MissingFault)]
    if len(missing) == len(faults) > 1:
        raise MissingFault(missing[0].case, [lack for fault in missing for lack in fault.lacks])
    if len(faults) == 1:
        raise faults[0]
    raise DataFault(
        "; ".join(fault.message for fault in faults), "; ".join(fault.remedy for fault in faults)
    )
