"""The command line, `driver/assay <verb> --case … --vendor …`, with the same names as make's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driver import __version__
from driver.console import Console
from driver.options import (
    TAKES_CASE_OPTIONS,
    Bundle,
    Case,
    Device,
    Format,
    OneVerb,
    Signed,
    Stack,
    Text,
    Vendor,
    WholeHelp,
    console_for,
    plans,
)
from driver.plan.request import VARIABLES
from driver.system.settings import INSTALLED

app = OneVerb(
    name="assay",
    cls=WholeHelp,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure how fast, and how correctly, an accelerator runs a model.",
)

WITHOUT_CHECKOUT = ("report", "compare", "published", "list")
"""The verbs of the installed command; all others need cases, hooks and images."""


def show_version(asked: bool) -> None:
    """Print the version and end, where it is asked for."""
    if asked:
        Console().text(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def refuse_without_checkout(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print it")
    ] = False,
) -> None:
    """Raise EnvironmentFault where the installed command is asked for what only a checkout can do."""
    verb = context.invoked_subcommand
    if INSTALLED and verb not in WITHOUT_CHECKOUT:
        from driver.errors import EnvironmentFault

        raise EnvironmentFault(
            f"`assay {verb}` needs a checkout: the installed command has no cases, hooks or images",
            f"clone the repository and type `driver/assay {verb}` there; "
            f"the installed command has: {', '.join(WITHOUT_CHECKOUT)}",
        )


@app.command(context_settings=TAKES_CASE_OPTIONS)
@plans
def run(given: dict[str, Text], output_format: Format = "table") -> int:
    """Measure one case on one vendor; `list` shows the case's own options, such as --steps."""
    from driver.verbs.run import run as verb

    return verb(given, console_for(output_format))


@app.command(context_settings=TAKES_CASE_OPTIONS)
@plans
def sweep(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    given: dict[str, Text],
    ratio: Annotated[
        Text, typer.Option(help="ratio columns of the table: 310P/T4,310P/310")
    ] = None,
    again: Annotated[bool, typer.Option(help="repeat jobs that have a result")] = False,
    dry_run: Annotated[bool, typer.Option(help="only show the plan")] = False,
    inside: Annotated[
        Text, typer.Option(help="with --runner slurm: what runs a stage on its node")
    ] = None,
    detach: Annotated[bool, typer.Option(help="with --runner slurm: submit, and end")] = False,
    attach: Annotated[Text, typer.Option(help="follow the submitted sweep of this id")] = None,
    cancel: Annotated[Text, typer.Option(help="cancel the submitted sweep of this id")] = None,
    output_format: Format = "table",
) -> int:
    """Measure every combination of lists such as --bs 1,4,8 --precision fp32,bf16."""
    from driver.verbs.fleet.sweep import SweepOptions
    from driver.verbs.sweep import sweep as verb

    options = SweepOptions(
        ratios=ratio,
        again=again,
        dry_run=dry_run,
        inside=inside,
        detach=detach,
        attach=attach,
        cancel=cancel,
    )
    return verb(given, console_for(output_format), options)


@app.command()
def task(
    plan: Annotated[str, typer.Option(help="plan.json of the sweep")],
    first: Annotated[int, typer.Option(help="index of the array's first task")] = 0,
    index: Annotated[int | None, typer.Option(help="index in the array (Slurm's own)")] = None,
) -> int:
    """Run one task of a submitted sweep; `sweep` submits it, nobody types it."""
    from driver.verbs.fleet.task import task as verb

    return verb(plan, first, index, Console())


@app.command("list")
def list_(output_format: Format = "table") -> int:
    """Show cases, vendors, stacks, engines, precisions and chips."""
    from driver.verbs.listing import list_catalog

    return list_catalog(console_for(output_format))


@app.command()
def report(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    folders: Annotated[list[Path] | None, typer.Argument(help="folders of results")] = None,
    lang: Annotated[Text, typer.Option(help="zh: column names as published")] = None,
    simulated: Annotated[bool, typer.Option(help="include stand-ins' results, marked")] = False,
    synthetic: Annotated[
        bool, typer.Option(help="include synthetic weights or data, marked")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="all results of a job, not only the newest")
    ] = False,
    table_format: Annotated[
        Text, typer.Option("--table", help="flagperf, throughput or modelzoo: text to paste")
    ] = None,
    case: Case = None,
    output_format: Format = "table",
) -> int:
    """Write all results as tables and one HTML page, or one case's in the format of --table."""
    from driver.verbs.report import Wanted, language_asked, make_report

    console = console_for(output_format)
    wanted = Wanted(
        language=language_asked(lang),
        simulated=simulated,
        synthetic=synthetic,
        every=every,
        case=case,
    )
    if table_format:
        from driver.verbs.table_formats import show_table_format

        return show_table_format(table_format, folders or [], wanted, console)
    return make_report(folders or [], wanted, console)


@app.command()
def compare(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    a: Annotated[Text, typer.Option("--a", help="a result, or a folder of results")] = None,
    b: Annotated[Text, typer.Option("--b", help="another, or `published`")] = None,
    fail_below: Annotated[Text, typer.Option(help="exit 1 unless B reaches this × A")] = None,
    smallest: Annotated[Text, typer.Option(help="smallest difference that counts (0.02)")] = None,
    run: Annotated[
        bool, typer.Option("--run", help="measure the jobs of both results here, in turns")
    ] = False,
    repeat: Annotated[Text, typer.Option(help="with --run: the number of rounds (4)")] = None,
    data: Annotated[Text, typer.Option(help=f"with --run: {VARIABLES['data']}")] = None,
    weights: Annotated[Text, typer.Option(help=f"with --run: {VARIABLES['weights']}")] = None,
    device: Device = None,
    output_format: Format = "table",
) -> int:
    """Report whether two results are comparable, and which is faster."""
    from driver.verbs.compare import CompareOptions, compare_results

    options = CompareOptions(
        fail_below=fail_below,
        smallest=smallest,
        run=run,
        repeat=repeat,
        own={"data": data, "weights": weights, "device": device},
    )
    return compare_results(a, b, options, console_for(output_format))


@app.command()
def published(
    case: Case = None,
    lang: Annotated[Text, typer.Option(help="zh: column names as published")] = None,
    output_format: Format = "table",
) -> int:
    """Show published figures, recomputed, with their contradictions."""
    from driver.verbs.published import show_published

    return show_published(case, lang, console_for(output_format))


@app.command()
def images(
    vendor: Vendor = None,
    stack: Stack = None,
    base: Annotated[Text, typer.Option(help="base image for all stacks, or `debootstrap`")] = None,
) -> int:
    """Build the images of a vendor and the reference image, with the network off."""
    from driver.verbs.maintenance.images import build_images

    return build_images(vendor or "cpu", stack, base, Console())


@app.command()
def environments(vendor: Vendor = None, stack: Stack = None) -> int:
    """Create the virtual environments in which the process runner runs stages."""
    from driver.verbs.maintenance.images import make_environments

    return make_environments(vendor or "cpu", stack, Console())


@app.command()
def wheelhouse(vendor: Vendor = None, stack: Stack = None) -> int:
    """Fetch every wheel in the lock files of the driver and of the stacks."""
    from driver.verbs.maintenance.images import fill_wheelhouse

    return fill_wheelhouse(vendor or "cpu", stack, Console())


@app.command()
def lock(
    everything: Annotated[bool, typer.Option("--all", help="also unchanged ones")] = False,
) -> int:
    """Make the lock files whose requirements.in changed."""
    from driver.verbs.maintenance.upkeep import make_locks

    return make_locks(Console(), everything=everything)


@app.command()
def pin(vendor: Vendor = None, stack: Stack = None) -> int:
    """Write digests of base images, and sha256 of the files in INSTALLERS, to stack.toml."""
    from driver.verbs.maintenance.pin import pin_stacks

    return pin_stacks(vendor, stack, Console())


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="also environments and wheels")] = False,
    images: Annotated[bool, typer.Option(help="also Assay's images in the engine")] = False,
) -> int:
    """Remove caches and what killed runs left, containers included; results are kept."""
    from driver.verbs.maintenance.upkeep import clean_home

    return clean_home(Console(), everything=everything, images=images)


@app.command()
def doctor(
    case: Case = None,
    vendor: Vendor = None,
    stack: Stack = None,
    device: Device = None,
    output_format: Format = "table",
) -> int:
    """Report what this machine has and lacks for a vendor, and how to get it; with a case, for its run."""
    from driver.verbs.doctor import doctor as verb

    given = {"case": case, "vendor": vendor, "stack": stack, "device": device}
    return verb(given, console_for(output_format))


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
    """Create a vendor's folder that passes its check except for the marked parts."""
    from driver.verbs.maintenance.new import make_vendor

    return make_vendor(name, into, Console())


@app.command("new-case")
def new_case(
    name: Annotated[Text, typer.Option(help="the case's name (resnet_18)")] = None,
    kind: Annotated[
        Text, typer.Option(help="image (a folder per class), text or raw (a layout of its own)")
    ] = None,
    into: Annotated[Text, typer.Option(help="folder outside the tree, for a private one")] = None,
) -> int:
    """Create a case's folder that passes its check except for the marked parts."""
    from driver.verbs.maintenance.new import make_case

    return make_case(name, into, kind, Console())


@app.command()
def data(
    case: Case = None,
    src: Annotated[
        Text, typer.Option(help="what was published: an archive, file or folder")
    ] = None,
    md5: Annotated[
        Text, typer.Option(help="checksum of an archive other than the published one")
    ] = None,
    weights: Annotated[
        Text, typer.Option(help="weights whose vocabulary the items of a text depend on")
    ] = None,
    runner: Annotated[
        Text, typer.Option(help="what runs the case's dataset.py: process or docker")
    ] = None,
    output_format: Format = "table",
) -> int:
    """Prepare a dataset once for all cases that use it."""
    from driver.verbs.data import DataAsked, prepare_data

    asked = DataAsked(case=case, src=src, md5=md5, weights=weights, runner=runner)
    return prepare_data(asked, console_for(output_format))


@app.command()
@plans
def bundle(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    given: dict[str, Text],
    result: Annotated[Text, typer.Option(help="results to include, separated by commas")] = None,
    include: Annotated[Text, typer.Option("--with", help="weights,data,engines,images")] = None,
    out: Annotated[Text, typer.Option(help="file to write (vit_digits-cpu.assay)")] = None,
    volume: Annotated[Text, typer.Option(help="size of a volume: 4G")] = None,
    sign: Annotated[Text, typer.Option(help="key to sign with, for ssh-keygen -Y")] = None,
    output_format: Format = "table",
) -> int:
    """Write one file that a lab without a network can load, run and verify."""
    from driver.verbs.air_gap.bundle import BundleOptions, make_bundle

    options = BundleOptions(result=result, include=include, out=out, volume=volume, key=sign)
    return make_bundle(given, options, console_for(output_format))


@app.command()
def load(
    bundle: Bundle = None,
    into: Annotated[Text, typer.Option(help="folder to create (./assay-<id>)")] = None,
    require_signature: Signed = False,
) -> int:
    """Verify and unpack a bundle; in an unpacked one, load its images into the engine."""
    from driver.verbs.air_gap.load import load_bundle

    return load_bundle(bundle, into, Console(), require_signed=require_signature)


@app.command()
def verify(
    bundle: Bundle = None,
    result: Annotated[Text, typer.Option(help="a result, or its folder")] = None,
    require_signature: Signed = False,
    output_format: Format = "table",
) -> int:
    """Verify every byte of a bundle, or a result and its inputs."""
    from driver.verbs.air_gap.verify import verify as verb

    return verb(bundle, result, console_for(output_format), require_signed=require_signature)


@app.command()
def rerun(  # noqa: PLR0913, PLR0917  # one parameter for each variable of the interface
    result: Annotated[Text, typer.Option(help="the result to run again, or its folder")] = None,
    data: Annotated[Text, typer.Option(help=VARIABLES["data"])] = None,
    weights: Annotated[Text, typer.Option(help=VARIABLES["weights"])] = None,
    device: Device = None,
    chip: Annotated[Text, typer.Option(help=VARIABLES["chip"])] = None,
    runner: Annotated[Text, typer.Option(help=VARIABLES["runner"])] = None,
    wait: Annotated[Text, typer.Option(help=VARIABLES["wait"])] = None,
    vendor: Annotated[Text, typer.Option(help="another vendor: a comparison")] = None,
    stack: Annotated[Text, typer.Option(help="another stack: a comparison")] = None,
    engine: Annotated[Text, typer.Option(help="another engine: a comparison")] = None,
    output_format: Format = "table",
) -> int:
    """Run a result's job again and say, figure by figure, whether it is reproduced."""
    from driver.verbs.air_gap.rerun import rerun as verb

    given = {"data": data, "weights": weights, "device": device, "chip": chip, "wait": wait}
    own = {**given, "runner": runner, "vendor": vendor, "stack": stack, "engine": engine}
    return verb(result, own, console_for(output_format))


@app.command()
def audit(
    result: Annotated[Text, typer.Option(help="the result to audit, or its folder")] = None,
    data: Annotated[Text, typer.Option(help=VARIABLES["data"])] = None,
    weights: Annotated[Text, typer.Option(help=VARIABLES["weights"])] = None,
    device: Device = None,
    wait: Annotated[Text, typer.Option(help=VARIABLES["wait"])] = None,
    output_format: Format = "table",
) -> int:
    """Run a result's job again with every check at its strictest and say whether its figures hold."""
    from driver.verbs.air_gap.audit import audit as verb

    given = {"data": data, "weights": weights, "device": device, "wait": wait}
    return verb(result, given, console_for(output_format))


@app.command()
def schemas(
    check: Annotated[bool, typer.Option(help="only check that they are up to date")] = False,
) -> int:
    """Write the JSON Schema of every file of the contract to driver/schemas."""
    from driver.verbs.maintenance.schemas import write_schemas

    return write_schemas(Console(), check=check)
