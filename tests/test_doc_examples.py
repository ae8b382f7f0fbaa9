"""Every command that a page prints is one that make and the driver accept, with names that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import typer

from driver.catalog.catalog import load_catalog
from driver.cli import app
from driver.options import case_options
from driver.plan.choice import choose
from driver.plan.request import VARIABLES
from driver.system.settings import ROOT
from driver.verbs.sweep import requests

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "tests" / "examples"
COMMAND = re.compile(r"^(?:\$ |! )?((?:[A-Z_]+=\S+ )*(?:make [a-z]|driver/assay [a-z]).*)$")
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:make|driver/assay) [a-z][^`]*)`")
LEFT_OPEN = re.compile(r"<[^<>]*>|\{\{name\}\}|\$\(.*\)|\$\w+|…")
"""What a reader puts in: `<folder>`, `$MINE`, `…`."""

PAGES = [
    name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if not name.startswith("CHANGELOG")
]
RECORDER = f"#!{sys.executable} -IS\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
VERBS = typer.main.get_command(app)
CATALOG = load_catalog(ROOT, [EXAMPLES / "acme"], [EXAMPLES / "resnet_18"])


class Example(NamedTuple):
    """A command of a page."""

    page: str
    text: str


def examples(page: str) -> list[Example]:
    """Return the commands in a page's blocks (fenced or indented) and in its running text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [body for _, body in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.M | re.S)]
    lines = [line.strip() for body in blocks for line in body.splitlines()]
    lines += [line.strip() for line in re.findall(r"^    +(\S.*)$", text, re.MULTILINE)]
    found = [match[1] for line in lines if (match := COMMAND.match(line))]
    found += INLINE.findall(text)
    parts = [part.strip() for one in found for part in one.split("&&")]
    return [Example(page, part) for part in dict.fromkeys(parts)]


ALL = [example for page in PAGES for example in examples(page)]


def words(text: str) -> list[str]:
    return shlex.split(LEFT_OPEN.sub("x", text), comments=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with our Makefile, whose programs print their arguments."""
    folder = tmp_path_factory.mktemp("tree")
    scripts = ("tests/run", "tests/lint", "tests/dev", "tests/bench/run", "tests/mutants/run")
    for name in ("driver/assay", *scripts):
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(RECORDER, encoding="utf-8")
        program.chmod(0o755)
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"))
    return folder


@cache
def called(tree: Path, command: tuple[str, ...]) -> list[str] | None:
    """Return the driver's arguments, None for a target that calls another program.

    Pages have many commands in common.
    """
    while re.match(r"[A-Z_]+=", command[0]):
        command = command[1:]
    done = subprocess.run(
        command,
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    target = command[1]
    other = target.startswith(("test", "bench", "lint", "dev", "help"))
    return None if other else json.loads(done.stdout)


def accepted(arguments: list[str]) -> dict[str, Any]:
    """Parse the driver's arguments as the command line does; return the values by option."""
    verb = VERBS.commands[arguments[0]]  # type: ignore[attr-defined]
    context = verb.make_context(arguments[0], list(arguments[1:]))
    given = {name: value for name, value in context.params.items() if name in VARIABLES}
    return {**case_options(context.args), **given}


@pytest.mark.parametrize("example", ALL, ids=lambda one: f"{one.page}: {one.text[:60]}")
def test_a_command_of_a_page_is_accepted(example: Example, tree: Path) -> None:
    arguments = called(tree, tuple(words(example.text)))
    if arguments is None:
        return
    given = accepted(arguments)
    if arguments[0] not in ("run", "sweep", "bundle") or "x" in (given["case"], given["vendor"]):
        return
    for request in requests(given):
        if request.device == "0":
            choose(request, CATALOG)


def test_examples_were_found_in_blocks_in_indented_text_and_inline() -> None:
    texts = {example.text for example in ALL}
    assert len(texts) > 60
    assert "make check VENDOR=acme RUNNER=process" in texts
    assert any(text.startswith("driver/assay report") for text in texts)
    assert "make new-case NAME=resnet_18 INTO=$MINE" in texts


@pytest.mark.parametrize(
    "text",
    [
        "make rn CASE=vit",
        "make clean CASE=vit",
        "make run CASE=nope",
        "make run STPES=3",
        "make run CASE=sam VENDOR=nvidia PRECISION=fp99",
        "driver/assay report --tabel x",
    ],
)
def test_a_wrong_command_would_be_noticed(text: str, tree: Path) -> None:
    with pytest.raises(Exception, match=r"."):
        test_a_command_of_a_page_is_accepted(Example("x", text), tree)
