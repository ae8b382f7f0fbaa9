"""What every verb's options have in common: their names and help, those of a run, and the case's own."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_name

from driver.console import Console
from driver.plan.request import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typer.models import CommandInfo


class WholeHelp(TyperGroup):
    """Lists the verbs with their whole sentence; click would cut it at the terminal's width."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a line for each verb, wrapped between words."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, verb.get_short_help_str(WHOLE)) for name, verb in found if verb is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


WHOLE = 1000
"""Characters up to which a sentence is kept."""


class OneVerb(typer.Typer):
    """Builds the options of the verb that is called, and of all verbs only where none of them is named."""

    def __call__(self, *, args: Sequence[str] | None = None, **settings: Any) -> Any:
        """Run the verb that ``args`` begin with; None stands for this process's own arguments."""
        words = sys.argv[1:2] if args is None else args[:1]
        app = copy.copy(self)
        named = [one for one in self.registered_commands if [_name(one)] == list(words)]
        app.registered_commands = named or self.registered_commands
        return typer.Typer.__call__(app, args=args, **settings)


def _name(command: CommandInfo) -> str:
    assert command.callback is not None
    return command.name or get_command_name(command.callback.__name__)


Text = str | None
Case = Annotated[Text, typer.Option(help="case or short name (vit_digits)")]
Vendor = Annotated[Text, typer.Option(help="vendor (cpu)")]
Stack = Annotated[Text, typer.Option(help="pinned software stack of the vendor")]
Device = Annotated[Text, typer.Option(help="number of the device (0)")]
Format = Annotated[
    str, typer.Option("--format", help="table, or json: one document on standard output")
]
Bundle = Annotated[Text, typer.Option(help="file that `bundle` wrote")]
Signed = Annotated[bool, typer.Option(help="refuse bundles without a known signature")]
OPTIONS: dict[str, Any] = {
    name: Annotated[Text, typer.Option(help=text)] for name, text in VARIABLES.items()
}
"""The options of `run`, `sweep` and `bundle`: the variables of a request."""

TAKES_CASE_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""For verbs that pass unknown options on to the case, which accepts or refuses them."""


def plans(verb: Callable[..., int]) -> Callable[..., int]:
    """Add OPTIONS and the case's own options to a verb, which receives them as its first argument."""
    _, *own = inspect.signature(verb, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    asked = [
        inspect.Parameter(name, keyword, default=None, annotation=kind)
        for name, kind in OPTIONS.items()
    ]

    @functools.wraps(verb)
    def called(context: typer.Context, **values: Any) -> int:
        given = {name: values.pop(name) for name in OPTIONS}
        return verb({**case_options(context.args), **given}, **values)

    context = inspect.Parameter("context", keyword, annotation=typer.Context)
    shown = [context, *asked, *(parameter.replace(kind=keyword) for parameter in own)]
    called.__signature__ = inspect.Signature(shown, return_annotation=int)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def case_options(words: Sequence[str]) -> dict[str, Text]:
    """Parse `--steps 3` and `--steps=3` into ``{"steps": "3"}``. Raises UsageFault for other words."""
    from driver.errors import UsageFault

    given: dict[str, Text] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        text = value if equals else next(rest, None)
        if not word.startswith("--") or not name or text is None:
            raise UsageFault(
                f"{word!r} is not an option with a value",
                "write options as --name value; `make help` and `make list` show them",
            )
        given[name.replace("-", "_")] = text
    return given


def console_for(output_format: str) -> Console:
    """Return the console for an output format. Raises UsageFault for an unknown one."""
    from driver.errors import unknown

    if output_format not in ("table", "json"):
        raise unknown("format", output_format, ("table", "json"))
    return Console(as_json=output_format == "json")
