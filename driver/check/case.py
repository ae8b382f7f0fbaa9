"""Every check of a case that runs nothing of it, and the tiny job that tries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.check.guest_code import OLDEST, check_module, defined_names
from driver.check.marks import check_marks
from driver.check.trial import Trial
from driver.errors import AssayError
from driver.findings import failed, not_checked, note, ok
from driver.published.load import FILE_NAME, load_case
from driver.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog import Case
    from driver.findings import Finding
    from driver.models.base import RunnerName
    from driver.models.result import Result

MODEL_PYTHON = (3, 8)
"""model.py is also imported by vendors' older images, for eager engines."""

EXPORTS = {"model.py": ("build", "skeleton", "save"), "task.py": ("make_task",)}
SMALL_PARAMETERS = 50_000_000
"""A larger model is tried only when a runner is named: it takes minutes and gigabytes."""

TRIAL_ITEMS = 4
TRIAL_BATCH = 3


def check_case(case: Case) -> list[Finding]:
    """Return what is found of a case's folder."""
    return [
        *_manifest(case),
        *_code(case),
        *_material(case),
        *_published(case),
        *check_marks(case.folder),
    ]


def plan_case_trial(case: Case, runner: RunnerName | None) -> Trial | Finding:
    """Return the tiny job that tries a case on the host's processor, or why it is not tried. Pure."""
    manifest = case.manifest
    what = "trial on cpu"
    if runner is None and manifest.model.parameters > SMALL_PARAMETERS:
        return not_checked(
            what,
            f"{manifest.model.parameters / 1e6:.0f} M parameters take minutes and gigabytes",
            f"make check CASE={case.name} RUNNER=process",
        )
    prompts = manifest.data.layout == "prompts"
    return Trial(
        what=what,
        request=Request(
            case=case.name,
            vendor="cpu",
            runner=runner,
            batch_size=1 if prompts else TRIAL_BATCH,
            weights=None if manifest.weights.bundled else "synthetic",
            data=None if manifest.data.bundled else "synthetic",
            limit=1 if prompts else TRIAL_ITEMS,
            options=(("steps", 2),) if prompts else (),
        ),
    )


def judge_macs(case: Case, result: Result) -> Finding:
    """Hold the multiply-accumulates of case.toml against those that the export counted. Pure."""
    export = result.provenance.get("export")
    counted = export.get("macs") if isinstance(export, dict) else None
    stated = case.manifest.model.macs
    if counted is None:
        return not_checked("model.macs", "the export counted none", "see the export's log")
    if counted != stated:
        return failed(
            "model.macs",
            f"case.toml says {stated}, the export counted {counted}",
            f"write macs = {counted}",
        )
    return ok("model.macs", f"{stated}, as counted from the model")


def _manifest(case: Case) -> Iterator[Finding]:
    manifest = case.manifest
    problems = []
    if manifest.name != case.folder.name:
        problems.append(
            failed("case.toml", f"name = {manifest.name!r}", f'write name = "{case.folder.name}"')
        )
    for name, constants in manifest.preprocess.items():
        if not str(constants.get("source", "")).strip():
            problems.append(
                failed(
                    f"preprocess.{name}",
                    "its constants have no source",
                    "say where they are printed: source = …",
                )
            )
    if manifest.preprocess and "default" not in manifest.preprocess:
        problems.append(
            failed("preprocess", "there is no set `default`", "name one [preprocess.default]")
        )
    for key, text in (
        ("model.macs_scope", manifest.model.macs_scope),
        ("gate.reason", manifest.gate.reason),
        ("data.source", manifest.data.source),
    ):
        if not text.strip():
            problems.append(failed(key, "it is empty", f"say it in words: {key}"))
    yield from problems
    if not problems:
        yield ok("case.toml", f"{manifest.title}: {manifest.task}, {manifest.metric.name}")


def _code(case: Case) -> Iterator[Finding]:
    for name, exports in EXPORTS.items():
        path = case.folder / name
        if not path.is_file():
            yield failed(name, "it is not there", f"write {path}; vit_digits shows one")
            continue
        problems = list(check_module(path, name, OLDEST if name == "task.py" else MODEL_PYTHON))
        absent = [one for one in exports if one not in defined_names(path)]
        if absent and not problems:
            problems = [
                failed(
                    name, f"defines no {', '.join(absent)}", f"it must export {', '.join(exports)}"
                )
            ]
        yield from problems
        if not problems:
            yield ok(name, f"exports {', '.join(exports)}")


def _material(case: Case) -> Iterator[Finding]:
    manifest = case.manifest
    for key, inside in (("weights", manifest.weights.bundled), ("data", manifest.data.bundled)):
        if inside is not None and not (case.folder / inside).is_dir():
            yield failed(
                f"{key}.bundled", f"there is no folder {inside}", "add it, or drop the key"
            )
    if not manifest.weights.formats:
        yield failed(
            "weights", "no format is named", "add [[weights.formats]]: kind, files, source"
        )
    for form in manifest.weights.formats:
        unchecked = [
            file.name
            for file in form.files
            if not (file.sha256 or file.md5 or file.bytes or file.name.endswith(".json"))
        ]
        if unchecked and not manifest.weights.bundled:
            yield note(
                f"weights ({form.kind})",
                f"nothing tells another {', '.join(unchecked)} from the right one",
                "name its bytes, md5 or sha256 in [[weights.formats]]",
            )
    if not (case.folder / "README.md").is_file():
        yield failed(
            "README.md",
            "there is none",
            f"write {case.folder / 'README.md'}: model, weights and data with their licences",
        )


def _published(case: Case) -> Iterator[Finding]:
    if not (case.folder / FILE_NAME).is_file():
        return
    try:
        load_case(case.folder)
    except AssayError as error:
        yield failed(FILE_NAME, error.message, error.remedy)
    else:
        yield ok(FILE_NAME, "read")
