"""A whole job in Apptainer, whose stand-in seals the stages off, on an image of this machine's Python."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from driver.models.base import RunnerName, StageName, Tier, WarningCode
from driver.plan.choice import choose
from driver.runners.apptainer.runner import ApptainerRunner
from driver.session.export import run_export
from driver.session.stages import JobStages
from driver.stacks.installer import open_installer
from driver.stacks.recipes import recipe_sha256
from tests.apptainer import PYTHON, install, lacking, on_path, save_image, write_layer
from tests.driver.miniature import write_executable
from tests.driver.session.scripted_runner import HOOK
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import Result
    from driver.session.site import Site


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a layer and room for unpacked images; skips where the stand-in cannot run."""
    reason = lacking() or ("" if PYTHON.exists() else f"{PYTHON} is missing")
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("apptainer")
    write_layer(folder / "layer.tar", python=True)
    return folder


class ApptainerLab(Lab):
    """A lab whose images are files, and whose Apptainer is the stand-in."""

    def __init__(self, root: Path, prepared: Path, path: pytest.MonkeyPatch) -> None:
        super().__init__(root)
        self.prepared = prepared
        labels = []
        for vendor, stack in (("reference", "ref"), ("acme", "v1")):
            folder = self.root / "images" / vendor / stack
            labels.append(
                {
                    "assay.vendor": vendor,
                    "assay.stack": stack,
                    "assay.recipe": recipe_sha256(folder),
                    "assay.base": "none",
                }
            )
            write_executable(self.root / "vendor_hooks" / vendor / "hook", f"#!{PYTHON}\n{HOOK}")
        save_image(self.settings.home / "images" / "lab.tar", [prepared / "layer.tar"], *labels)
        self.be_refused()
        path.setenv("PATH", on_path(root / "bin" / "apptainer"))

    def be_refused(self, *options: str) -> None:
        """Have the site refuse options of Apptainer's."""
        install(self.settings.home.parent / "bin", self.prepared / "rootfs", refuses=options)

    def site(self) -> Site:
        installer = open_installer(RunnerName.APPTAINER, self.settings, self.listener)
        return replace(super().site(), runner=ApptainerRunner(), installer=installer)

    def measured(self, tier: Tier) -> Result:
        return self.run(runner=RunnerName.APPTAINER, tier=tier, repeat=1).result


@pytest.fixture
def lab(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> ApptainerLab:
    # Guests of a caller who is root are other users.
    tmp_path.chmod(0o755)
    return ApptainerLab(tmp_path, prepared, monkeypatch)


def marks(result: Result) -> list[str]:
    return [one.message for one in result.warnings if one.code is WarningCode.NOT_ISOLATED]


def test_a_job_runs_from_export_to_score_and_names_what_held_it(lab: ApptainerLab) -> None:
    result = lab.measured(Tier.STANDARD)
    assert result.failure is None
    assert [record.name for record in result.stages] == list(StageName)
    assert not result.simulated
    assert marks(result) == []
    isolation = result.provenance["isolation"]
    assert {held["network"] for held in isolation.values()} == {"none"}
    stack = result.provenance["vendor_stack"]
    assert (stack["kind"], stack["sif_made_by"]) == ("image", "Apptainer 1.3.4+assay.standin")
    assert {record.image for record in result.stages if record.name is StageName.INFER} == {
        stack["image_id"]
    }


def test_what_a_site_refuses_is_marked_but_for_a_smoke_run(lab: ApptainerLab) -> None:
    lab.be_refused("--net")
    result = lab.measured(Tier.STANDARD)
    assert result.status == "ok"
    (said,) = marks(result)
    assert said.endswith(": network")
    assert result.provenance["isolation"]["infer"]["network"] == "host"
    assert marks(lab.measured(Tier.SMOKE)) == []


def test_an_export_for_others_names_the_runner_in_its_work_folder(
    lab: ApptainerLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed driver left is looked for by that name."""
    seen = []

    def export(stages: JobStages) -> None:
        owner = json.loads((stages.workspace.folder / "owner.json").read_text())
        seen.append(owner["runner"])

    monkeypatch.setattr(JobStages, "export", export)
    site = lab.site()
    choice = replace(choose(lab.request, site.catalog), runner=RunnerName.SLURM)
    run_export(site, choice, lab.settings.results, runner=RunnerName.DOCKER)
    assert seen == ["docker"]
