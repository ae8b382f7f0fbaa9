"""One line of a bench: a model file, a precision, a batch size; read from what the user typed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.base import RunnerName
from driver.plan.request import LARGEST_BATCH, Request, positive

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model file, precision and batch size."""

    case: str
    precision: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.case}:{self.precision}:{self.batch_size}"

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read ``case:precision:batch size``; ArgumentTypeError says what is wrong with it."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not CASE:PRECISION:BATCH_SIZE, for example vit_b_32:fp32:8"
            )
        case, precision, batch_size = parts
        return cls(
            case=case,
            precision=precision,
            batch_size=_whole_number("the batch size", batch_size, LARGEST_BATCH),
        )

    def request(self, vendor: str, engine: str) -> Request:
        """Return a smoke run of this row, with random weights and pictures, on ``engine``."""
        return Request(
            case=self.case,
            vendor=vendor,
            engine=engine,
            precision=self.precision,
            batch_size=self.batch_size,
            weights="synthetic",
            data="synthetic",
            limit=max(64, 4 * self.batch_size),
            runner=RunnerName.PROCESS,
        )


def arguments_of(rows: Sequence[str], description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every bench of rows takes: which rows, how many pairs, how long."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--row",
        action="append",
        type=Row.parse,
        metavar="CASE:PRECISION:BS",
        help=f"default: {', '.join(rows)}",
    )
    parser.add_argument("--pairs", type=count, default=5)
    # Whole seconds, since benchmark_app takes no others.
    parser.add_argument("--seconds", type=count, default=10, help="length of every timed loop")
    return parser


def count(text: str) -> int:
    """Read a whole number from 1; ArgumentTypeError otherwise."""
    return _whole_number("it", text, 10**9)


def _whole_number(what: str, text: str, largest: int) -> int:
    try:
        return positive(what, text, largest)
    except UsageFault as fault:
        raise argparse.ArgumentTypeError(
            f"{what} is {text!r} and must be a whole number from 1 to {largest}"
        ) from fault
