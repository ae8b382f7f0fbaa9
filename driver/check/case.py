"""The checks of a case's folder that do not run it, and the plan of its trial run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.check.guest_code import OLDEST, check_module, defined_names
from driver.check.marks import check_marks
from driver.check.trial import Trial
from driver.doctor.finding import failed, not_checked, note, ok
from driver.errors import AssayError
from driver.plan.request import Request
from driver.published.load import FILE_NAME, load_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog.catalog import Case
    from driver.doctor.finding import Finding
    from driver.models.base import RunnerName
    from driver.models.result import Result

MODEL_PYTHON = (3, 8)
"""The oldest Python of model.py, which eager engines import in vendors' older images."""

OWN_LAYOUT = "dataset.py"
EXPORTS = {"model.py": ("build", "skeleton", "save"), "task.py": ("make_task",)}
SMALL_PARAMETERS = 50_000_000
"""A larger model takes minutes and gigabytes, so it is tried only if a runner is named."""

TRIAL_ITEMS = 4
TRIAL_BATCH = 3


def check_case(case: Case) -> list[Finding]:
    """Return the findings about a case's folder."""
    return [
        *_manifest(case),
        *_code(case),
        *_material(case),
        *_published(case),
        *check_marks(case.folder),
    ]


def plan_case_trial(case: Case, runner: RunnerName | None) -> Trial | Finding:
    """Return the tiny job that tries a case on the cpu vendor, or why it is not tried. Pure."""
    manifest = case.manifest
    what = "trial on cpu"
    if runner is None and manifest.model.parameters > SMALL_PARAMETERS:
        return not_checked(
            what,
            f"the model has {manifest.model.parameters / 1e6:.0f} M parameters and takes minutes and "
            "gigabytes",
            f"make check CASE={case.name} RUNNER=process",
        )
    prompts = manifest.data.layout == "prompts"
    return Trial(
        what=what,
        of_case=True,
        request=Request(
            case=case.name,
            vendor="cpu",
            runner=runner,
            batch_size=1 if prompts else TRIAL_BATCH,
            weights=None if manifest.weights.bundled else "synthetic",
            data=None if manifest.data.bundled else "synthetic",
            limit=1 if prompts else TRIAL_ITEMS,
            options=tuple(
                (name, str(option.trial))
                for name, option in manifest.options.items()
                if option.trial is not None
            ),
        ),
    )


def judge_macs(case: Case, result: Result) -> Finding:
    """Compare the multiply-accumulates in case.toml with those that the export counted. Pure."""
    export = result.provenance.get("export")
    counted = export.get("macs") if isinstance(export, dict) else None
    stated = case.manifest.model.macs
    if counted is None:
        return not_checked("model.macs", "the export counted none", "see the log of the export")
    if counted != stated:
        return failed(
            "model.macs",
            f"case.toml has {stated}, but the export counted {counted}",
            f"write macs = {counted}",
        )
    return ok("model.macs", f"{stated}, as counted by the export")


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
                    "name the page or file they come from: source = …",
                )
            )
    if manifest.preprocess and "default" not in manifest.preprocess:
        problems.append(
            failed("preprocess", "no set is called `default`", "rename one: [preprocess.default]")
        )
    for key, text in (
        ("model.macs_scope", manifest.model.macs_scope),
        ("gate.reason", manifest.gate.reason),
        ("data.source", manifest.data.source),
    ):
        if not text.strip():
            problems.append(failed(key, "it is empty", f"write a sentence for {key} in case.toml"))
    yield from problems
    if not problems:
        yield ok("case.toml", f"{manifest.title}: {manifest.task}, {manifest.metric.name}")


def _code(case: Case) -> Iterator[Finding]:
    exported = dict(EXPORTS)
    if case.manifest.data.layout == "own":
        exported[OWN_LAYOUT] = ("read", "synthetic")
    for name, exports in exported.items():
        path = case.folder / name
        if not path.is_file():
            yield failed(name, "it is missing", f"write {path}; cases/vit_digits has an example")
            continue
        problems = list(check_module(path, name, OLDEST if name == "task.py" else MODEL_PYTHON))
        absent = [one for one in exports if one not in defined_names(path)]
        if absent and not problems:
            problems = [
                failed(
                    name,
                    f"it does not define {', '.join(absent)}",
                    f"define {', '.join(exports)}",
                )
            ]
        yield from problems
        if not problems:
            yield ok(name, f"exports {', '.join(exports)}")


def _material(case: Case) -> Iterator[Finding]:
    manifest = case.manifest
    calibration = manifest.calibration.bundled if manifest.calibration is not None else None
    folders = (
        ("weights", manifest.weights.bundled),
        ("data", manifest.data.bundled),
        ("calibration", calibration),
    )
    for key, inside in folders:
        if inside is not None and not (case.folder / inside).is_dir():
            yield failed(
                f"{key}.bundled", f"the folder {inside} is missing", "add it, or remove the key"
            )
    if not manifest.weights.formats:
        yield failed(
            "weights",
            "there is no [[weights.formats]] table",
            "add one with kind, files and source",
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
                f"a wrong {', '.join(unchecked)} would not be detected",
                "add its bytes, md5 or sha256 to [[weights.formats]]",
            )
    if not (case.folder / "README.md").is_file():
        yield failed(
            "README.md",
            "it is missing",
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
        yield ok(FILE_NAME, "valid")
