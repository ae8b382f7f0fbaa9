"""Remedies repeat the user's own command with what it lacks, and drop nothing."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import typer

from driver import cli
from driver.plan.request import VARIABLES
from driver.system.settings import ROOT
from driver.system.user.own_command import (
    CARRIED,
    DEFAULT_HOME,
    FROM_ENVIRONMENT,
    RUN,
    TAKES,
    TYPED,
    OwnCommand,
    completed,
)
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "/x/driver/__main__.py"


def by_make(verb: str, **given: str) -> OwnCommand:
    found = OwnCommand.of([PROGRAM, verb], {TYPED: " ".join(given), **given})
    assert found is not None
    return found


def by_script(*words: str, **environ: str) -> OwnCommand:
    found = OwnCommand.of([PROGRAM, *words], environ)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("remedy", "shown"),
    [
        (
            "type WEIGHTS=<folder or file>, or WEIGHTS=synthetic (marked)",
            "type `make run CASE=sam VENDOR=nvidia OUT='/my out' STEPS=3 WEIGHTS=<folder or file>`, or "
            "`make run CASE=sam VENDOR=nvidia OUT='/my out' STEPS=3 WEIGHTS=synthetic` (marked)",
        ),
        (
            "type: DATA=<folder with val/<synset>/*.JPEG>",
            "type: `make run CASE=sam VENDOR=nvidia OUT='/my out' STEPS=3 "
            "DATA=<folder with val/<synset>/*.JPEG>`",
        ),
        (
            "use VENDOR=cpu TIER=smoke",
            "use `make run CASE=sam VENDOR=cpu OUT='/my out' STEPS=3 TIER=smoke`",
        ),
        (
            "run the same command again",
            "run `make run CASE=sam VENDOR=nvidia OUT='/my out' STEPS=3` again",
        ),
        (
            "`make doctor` says what is missing",
            "`make doctor CASE=sam VENDOR=nvidia` says what is missing",
        ),
        ("make check VENDOR=… tests the hook", "make check VENDOR=nvidia tests the hook"),
        ("make data CASE=… SRC=<tar>", "make data CASE=sam SRC=<tar>"),
        ("`make report` shows all", "`make report OUT='/my out'` shows all"),
        (
            "make rerun RESULT=<folder>, or BUNDLE=<file that `make bundle` wrote>",
            "make rerun RESULT=<folder>, or BUNDLE=<file that `make bundle` wrote>",
        ),
        ("make it readable", "make it readable"),
        ("set CUDA_MODULE_LOADING=LAZY", "set CUDA_MODULE_LOADING=LAZY"),
    ],
)
def test_a_remedy_repeats_the_whole_command(remedy: str, shown: str) -> None:
    own = by_make("run", CASE="sam", VENDOR="nvidia", OUT="/my out", STEPS="3")
    assert sorted(completed(remedy, own).split()) == sorted(shown.split())


def test_a_sweeps_lists_are_not_carried_to_a_command_that_takes_one_each() -> None:
    own = by_make("sweep", CASE="sam,vit", VENDOR="nvidia", DEVICE="0,1")
    assert (
        completed("`make doctor` says it", own) == "`make doctor VENDOR=nvidia DEVICE=0,1` says it"
    )
    shown = completed("`make doctor CASE=vit VENDOR=nvidia` says it", own)
    assert shown == "`make doctor VENDOR=nvidia DEVICE=0,1 CASE=vit` says it"


def test_a_command_of_the_script_keeps_its_form_its_flags_and_its_environment() -> None:
    own = by_script("sweep", "--bs", "1,2", "--again", "--case=sam", OUT="out", VENDOR_PATH="/a:/b")
    assert completed("use TIER=standard", own) == (
        "use `OUT=out VENDOR_PATH=/a:/b driver/assay sweep --bs 1,2 --case sam --tier standard --again`"
    )


def test_a_digest_to_fill_in_belongs_to_its_variable() -> None:
    own = by_make("run", CASE="sam", VENDOR="cpu")
    assert completed("name it by its digest: BASE=<image>@sha256:…", own) == (
        "name it by its digest: `make run CASE=sam VENDOR=cpu BASE=<image>@sha256:…`"
    )


def test_folders_of_a_report_stay() -> None:
    own = by_script("report", "my results", "--all")
    assert completed("choose OUT=<folder>", own) == (
        "choose `OUT=<folder> driver/assay report 'my results' --all`"
    )


def test_what_a_verb_does_not_take_is_advice_for_another_run() -> None:
    own = by_make("doctor", VENDOR="nvidia")
    text = "RUNNER=process works without one (add BASE=<image>)"
    assert completed(text, own) == text


def test_a_check_is_of_a_vendor_or_a_case() -> None:
    own = by_make("check", CASE="sam", RUNNER="process")
    assert completed("make check VENDOR=cpu tests the hook alone", own) == (
        "make check RUNNER=process VENDOR=cpu tests the hook alone"
    )


def test_a_dollar_survives_make() -> None:
    assert str(by_make("run", DATA="/a$b")) == "make run DATA='/a$$b'"


def test_a_variable_can_be_dropped_on_purpose() -> None:
    own = by_make("sweep", BS="1", DRY_RUN="1").changed({"DRY_RUN": None})
    assert str(own) == "make sweep BS=1"
    assert "--dry-run" not in str(by_script("sweep", "--dry-run").changed({"DRY_RUN": None}))


def test_another_vendor_is_not_asked_for_this_ones_stack() -> None:
    given = by_make(
        "run", CASE="llama", VENDOR="metax", STACK="maca3.8", ENGINE="eager", CHIP="C500"
    )
    assert str(given.changed({"VENDOR": "cpu"})) == "make run CASE=llama VENDOR=cpu"
    same = given.changed({"VENDOR": "metax", "CHIP": None})
    assert str(same) == "make run CASE=llama VENDOR=metax STACK=maca3.8 ENGINE=eager"
    named = given.changed({"VENDOR": "nvidia", "ENGINE": "vllm"})
    assert str(named) == "make run CASE=llama VENDOR=nvidia ENGINE=vllm"


@pytest.mark.parametrize(
    ("default", "shown"),
    [("/tree/.assay", "driver/assay run --case sam"), ("/other", "ASSAY_HOME=/tree/.assay ")],
)
def test_a_home_that_nobody_typed_is_not_repeated(default: str, shown: str) -> None:
    environ = {"ASSAY_HOME": "/tree/.assay", DEFAULT_HOME: default}
    assert str(by_script("run", "--case", "sam", **environ)).startswith(shown)


def test_outside_a_process_of_assay_a_remedy_stays_as_it_is() -> None:
    assert OwnCommand.of(["/usr/bin/pytest", "tests"], {}) is None
    assert completed("use TIER=standard", None) == "use TIER=standard"


def valued(verb: Any) -> set[str]:
    """Return the variables of a verb's options that have a value."""
    return {
        one.opts[0].removeprefix("--").replace("-", "_").upper()
        for one in verb.params
        if one.param_type_name == "option" and not one.is_flag
    }


def test_the_verbs_and_variables_are_those_of_the_command_line() -> None:
    assert {name.lower() for name in RUN.split()} == set(VARIABLES)
    assert all(set(names.split()) <= TAKES[verb] for verb, names in CARRIED.items())
    verbs = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    # LANG is the environment's; no user types `environments`, or `task`, which Slurm runs.
    left_out = {"FORMAT", "HELP", "LANG"}
    assert {name: valued(verb) - left_out for name, verb in verbs.items() if name in TAKES} == TAKES
    assert set(verbs) - set(TAKES) == {"environments", "schemas", "task"}
    known = (ROOT / "Makefile").read_text(encoding="utf-8")
    surroundings = next(line for line in known.splitlines() if line.startswith("SURROUNDINGS"))
    assert set(surroundings.split()[2:]) - {"ARGS"} <= FROM_ENVIRONMENT


@pytest.mark.parametrize(
    "given", [{"WEIGHTS": "/no"}, {"DATA": "/no", "WEIGHTS": "synthetic", "OUT": "{0}"}]
)
def test_make_run_names_its_own_variables_in_the_remedy(
    tmp_path: Path, given: dict[str, str]
) -> None:
    words = [f"{name}={value.format(tmp_path)}" for name, value in given.items()]
    env = {key: value for key, value in os.environ.items() if key not in (TYPED, "MAKEFLAGS")}
    done = subprocess.run(
        ["make", "run", "CASE=vit_b_32", "VENDOR=cpu", "TIER=smoke", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    remedy = next(line for line in done.stderr.splitlines() if "→" in line)
    for word in (
        "make run",
        "CASE=vit_b_32",
        "VENDOR=cpu",
        "TIER=smoke",
        f"{next(iter(given))}=synthetic",
    ):
        assert word in remedy
