"""The command line: `driver/assay <verb> --case … --vendor …`, the same names as make's variables."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driver.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="assay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure how fast, and how correctly, an accelerator runs a model.",
)

Text = str | None
Case = Annotated[Text, typer.Option(help="case or short name (vit_digits)")]
Vendor = Annotated[Text, typer.Option(help="vendor (cpu)")]
Stack = Annotated[Text, typer.Option(help="pinned image of the vendor")]
Device = Annotated[Text, typer.Option(help="which device (0)")]
Format = Annotated[
    str, typer.Option("--format", help="table, or json: one document on standard output")
]
OPTIONS: dict[str, Any] = {
    "case": Case,
    "vendor": Vendor,
    "stack": Stack,
    "engine": Annotated[Text, typer.Option(help="what executes the model")],
    "precision": Annotated[Text, typer.Option(help="fp32, fp16, bf16, …")],
    "bs": Annotated[Text, typer.Option(help="batch size")],
    "chip": Annotated[Text, typer.Option(help="hardware model, for its peaks")],
    "device": Device,
    "runner": Annotated[Text, typer.Option(help="docker, process or slurm")],
    "tier": Annotated[Text, typer.Option(help="smoke, standard or official")],
    "data": Annotated[Text, typer.Option(help="dataset folder, or `synthetic`")],
    "weights": Annotated[Text, typer.Option(help="weights folder or file, or `synthetic`")],
    "limit": Annotated[Text, typer.Option(help="use that many items; makes it a smoke run")],
    "repeat": Annotated[Text, typer.Option(help="fresh processes that measure")],
    "input": Annotated[Text, typer.Option(help="file, or tensor: preprocessed once")],
    "preprocess": Annotated[
        Text, typer.Option(help="named set of preprocessing constants of the case")
    ],
    "steps": Annotated[Text, typer.Option(help="denoising steps (Stable Diffusion)")],
    "prompts": Annotated[Text, typer.Option(help="number of prompts (Stable Diffusion)")],
}
"""What a job is asked for with: the variables of the interface, `run`'s and `sweep`'s."""


def plans(verb: Callable[..., int]) -> Callable[..., int]:
    """Give a verb an option for each of OPTIONS; it gets them as its first argument, by name."""
    _, *own = inspect.signature(verb, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    asked = [
        inspect.Parameter(name, keyword, default=None, annotation=kind)
        for name, kind in OPTIONS.items()
    ]

    @functools.wraps(verb)
    def called(**values: Any) -> int:
        given = {name: values.pop(name) for name in OPTIONS}
        return verb(given, **values)

    shown = [*asked, *(parameter.replace(kind=keyword) for parameter in own)]
    called.__signature__ = inspect.Signature(shown, return_annotation=int)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def console_for(output_format: str) -> Console:
    """Return the console of a verb; UsageFault for a format that is none."""
    from driver.errors import unknown

    if output_format not in ("table", "json"):
        raise unknown("format", output_format, ("table", "json"))
    return Console(as_json=output_format == "json")


@app.command()
@plans
def run(given: dict[str, Text], output_format: Format = "table") -> int:
    """Measure one case on one vendor."""
    from driver.verbs.run import run as verb

    return verb(given, console_for(output_format))


@app.command()
@plans
def sweep(
    given: dict[str, Text],
    ratio: Annotated[
        Text, typer.Option(help="ratio columns of the table: 310P/T4,310P/310")
    ] = None,
    again: Annotated[bool, typer.Option(help="measure again what was measured before")] = False,
    dry_run: Annotated[bool, typer.Option(help="only show the plan")] = False,
    output_format: Format = "table",
) -> int:
    """Measure every combination of lists such as --bs 1,4,8 --precision fp32,bf16."""
    from driver.verbs.sweep import sweep as verb

    return verb(given, console_for(output_format), ratios=ratio, again=again, dry_run=dry_run)


@app.command("list")
def list_(output_format: Format = "table") -> int:
    """Show cases, vendors, stacks, engines, precisions and chips."""
    from driver.verbs.listing import list_catalog

    return list_catalog(console_for(output_format))


@app.command()
def report(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    folders: Annotated[list[Path] | None, typer.Argument(help="folders of results")] = None,
    lang: Annotated[Text, typer.Option(help="zh: the seeds' own words")] = None,
    simulated: Annotated[bool, typer.Option(help="results of stand-ins too, marked")] = False,
    synthetic: Annotated[bool, typer.Option(help="synthetic weights or data too, marked")] = False,
    seed_format: Annotated[
        Text, typer.Option("--table", help="flagperf, throughput or modelzoo: text to paste there")
    ] = None,
    case: Case = None,
    output_format: Format = "table",
) -> int:
    """Write all results as tables and one HTML page; or one case's in a seed document's format."""
    from driver.verbs.report import Wanted, language_asked, make_report

    console = console_for(output_format)
    wanted = Wanted(
        language=language_asked(lang), simulated=simulated, synthetic=synthetic, case=case
    )
    if seed_format:
        from driver.verbs.seed_formats import show_seed_format

        return show_seed_format(seed_format, folders or [], wanted, console)
    return make_report(folders or [], wanted, console)


@app.command()
def compare(
    a: Annotated[str, typer.Option("--a", help="a result, or a folder of results")],
    b: Annotated[str, typer.Option("--b", help="another, or `published`")],
    fail_below: Annotated[Text, typer.Option(help="exit 1 unless B reaches this × A")] = None,
    output_format: Format = "table",
) -> int:
    """Say whether two results may be compared, and which is faster."""
    from driver.verbs.compare import compare_results

    return compare_results(a, b, fail_below, console_for(output_format))


@app.command()
def published(
    case: Case = None,
    lang: Annotated[Text, typer.Option(help="zh: the seeds' own words")] = None,
    output_format: Format = "table",
) -> int:
    """Show what the seed documents printed, recomputed, with their contradictions."""
    from driver.verbs.published import show_published

    return show_published(case, lang, console_for(output_format))


@app.command()
def images(
    vendor: Vendor = None,
    stack: Stack = None,
    base: Annotated[Text, typer.Option(help="base image for all stacks, or `debootstrap`")] = None,
) -> int:
    """Build the images of a vendor and of the reference stack, with the network off."""
    from driver.verbs.images import build_images

    return build_images(vendor or "cpu", stack, base, Console())


@app.command()
def environments(vendor: Vendor = None, stack: Stack = None) -> int:
    """Make the virtual environments in which the process runner runs stages."""
    from driver.verbs.images import make_environments

    return make_environments(vendor or "cpu", stack, Console())


@app.command()
def wheelhouse(vendor: Vendor = None, stack: Stack = None) -> int:
    """Fetch every wheel that the stacks' locks name."""
    from driver.verbs.images import fill_wheelhouse

    return fill_wheelhouse(vendor or "cpu", stack, Console())


@app.command()
def lock(
    everything: Annotated[bool, typer.Option("--all", help="also those that are current")] = False,
) -> int:
    """Make the lock files whose requirements.in changed."""
    from driver.verbs.upkeep import make_locks

    return make_locks(Console(), everything=everything)


@app.command()
def pin(vendor: Vendor = None, stack: Stack = None) -> int:
    """Write digests of base images and, of INSTALLERS, sha256 into stack.toml."""
    from driver.verbs.pin import pin_stacks

    return pin_stacks(vendor, stack, Console())


@app.command()
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="also environments, wheels and image contexts")
    ] = False,
) -> int:
    """Remove caches and left-over work folders; results stay."""
    from driver.verbs.upkeep import clean_home

    return clean_home(Console(), everything=everything)


@app.command()
def doctor(
    vendor: Vendor = None,
    stack: Stack = None,
    device: Device = None,
    output_format: Format = "table",
) -> int:
    """Say what this machine has and lacks for a vendor, and how to get it."""
    from driver.verbs.doctor import doctor as verb

    return verb(vendor or "cpu", stack, device or "0", console_for(output_format))


@app.command()
def check(
    vendor: Vendor = None,
    case: Case = None,
    runner: Annotated[Text, typer.Option(help="process, docker, or none: run nothing")] = None,
    output_format: Format = "table",
) -> int:
    """Check a vendor's or a case's folder and list what is missing."""
    from driver.verbs.check import check as verb

    return verb(vendor, case, runner, console_for(output_format))


@app.command("new-vendor")
def new_vendor(
    name: Annotated[Text, typer.Option(help="the vendor's name (acme)")] = None,
    into: Annotated[Text, typer.Option(help="folder outside the tree, for a private one")] = None,
) -> int:
    """Lay out a vendor's folder that passes its check but for marked parts."""
    from driver.verbs.new import make_vendor

    return make_vendor(name, into, Console())


@app.command("new-case")
def new_case(
    name: Annotated[Text, typer.Option(help="the case's name (resnet_50)")] = None,
) -> int:
    """Lay out a case's folder that passes its check but for marked parts."""
    from driver.verbs.new import make_case

    return make_case(name, Console())


@app.command()
def data(
    case: Case = None,
    src: Annotated[Text, typer.Option(help="the maker's archive, or a folder")] = None,
    md5: Annotated[
        Text, typer.Option(help="sum of an archive that is not the published one")
    ] = None,
    output_format: Format = "table",
) -> int:
    """Prepare a dataset once, so that every case that uses it finds it."""
    from driver.verbs.data import prepare_data

    return prepare_data(case, src, md5, console_for(output_format))


@app.command()
def schemas(
    check: Annotated[bool, typer.Option(help="only say whether they are up to date")] = False,
) -> int:
    """Write the JSON Schemas of every file of the contract into driver/schemas."""
    from driver.verbs.schemas import write_schemas

    return write_schemas(Console(), check=check)
