"""Every file of every cache is checked before it is used; what is damaged is made again, and named."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from driver.errors import DataFault
from driver.models.base import FailureKind
from driver.session.result import exit_code
from driver.system.untrusted import record
from tests.driver.damage import DAMAGE, flip
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import Result

pytestmark = pytest.mark.jobs

EXPORTS = """
import hashlib
for part, names in (("model", ("model.onnx", "model.data")), ("golden", ("golden.npz",))):
    for name in names:
        (out / part / name).write_bytes(name.encode() * 99)
    digests = [hashlib.sha256(name.encode() * 99).hexdigest() for name in names]
    text = {"opset": 18, "onnx_sha256": digests[0], "sha256": digests[0], "data_sha256": digests[-1]}
    file = "export.json" if part == "model" else "golden.json"
    (out / part / file).write_text(json.dumps(text))
"""
FILES = {
    "models": ["model/model.onnx", "model/model.data", "model/export.json", "report.json"],
    "golden": ["golden/golden.npz", "golden/golden.json"],
    "engines": ["cache/engine.bin", "report.json"],
    "datasets": ["data/items.bin", "data/index.json", "labels/labels.json"],
}


def one_of_each(files: dict[str, list[str]]) -> list[dict[str, str]]:
    """Return sets of one file a cache, in which every file occurs: a job checks its caches one by one."""
    count = max(map(len, files.values()))
    return [
        {cache: names[index % len(names)] for cache, names in files.items()}
        for index in range(count)
    ]


RECORDED = one_of_each({cache: [*names, record.RECORD] for cache, names in FILES.items()})
DESCRIBED = one_of_each(FILES)


def made(root: Path) -> Lab:
    """Return a lab in which a job has filled every cache."""
    found = Lab(root)
    found.behave("reference", export=f"python:{EXPORTS}")
    found.behave(compile="makes-an-engine", infer="reads-its-engine")
    assert found.run().result.status == "ok"
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return made(tmp_path)


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a lab for tests that leave its caches whole, as each of them asserts."""
    return made(tmp_path_factory.mktemp("lab"))


def file_of(lab: Lab, cache: str, name: str) -> Path:
    (path,) = (lab.settings.home / "cache" / cache).glob(f"*/{name}")
    return path


def caches_made_again(result: Result) -> dict[str, list[str]]:
    """Return the files that a job found damaged, by cache."""
    named = result.provenance["made_again"]
    return {folder.partition("/")[0]: names for folder, names in named.items()}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("files", RECORDED, ids=lambda files: "+".join(files.values()))
def test_damaged_files_are_made_again_and_named(
    repaired: Lab, files: dict[str, str], how: str
) -> None:
    repaired.listener.notes.clear()
    paths = {cache: file_of(repaired, cache, name) for cache, name in files.items()}
    whole = {cache: path.read_bytes() for cache, path in paths.items()}
    for path in paths.values():
        DAMAGE[how](path)
    result = repaired.run().result
    assert (result.status, exit_code(result)) == ("ok", 0)
    named = caches_made_again(result)
    assert named.keys() == files.keys()
    for cache, name in files.items():
        assert named[cache] == [name] or name == record.RECORD
        if name != "report.json":
            assert paths[cache].read_bytes() == whole[cache]
    damaged = [note for note in repaired.listener.notes if "was damaged on this host" in note]
    assert len(damaged) == len(files)
    repaired.listener.notes.clear()
    again = repaired.run().result
    assert "made_again" not in again.provenance
    assert not any("damaged" in note for note in repaired.listener.notes)


@pytest.mark.parametrize("files", DESCRIBED, ids=lambda files: "+".join(files.values()))
def test_a_cache_without_a_record_is_taken_as_its_documents_describe_it(
    repaired: Lab, files: dict[str, str]
) -> None:
    """An earlier version or a bundle made it: nothing is exported or compiled again for that."""
    for cache in files:
        file_of(repaired, cache, record.RECORD).unlink()
    repaired.listener.started.clear()
    assert repaired.run().result.status == "ok"
    assert repaired.listener.started == ["validate", "infer", "score"]
    for cache, name in files.items():
        flip(file_of(repaired, cache, name))
    assert caches_made_again(repaired.run().result).keys() == files.keys()


def test_a_described_file_that_was_damaged_before_it_was_recorded_is_found(lab: Lab) -> None:
    for cache, name in (("models", "model/model.onnx"), ("golden", "golden/golden.npz")):
        file_of(lab, cache, record.RECORD).unlink()
        flip(file_of(lab, cache, name))
    made_again = lab.run().result.provenance["made_again"]
    assert sorted(made_again.values()) == [["golden/golden.npz"], ["model/model.onnx"]]


@pytest.mark.parametrize(
    ("cache", "name"),
    [
        ("models", "model/model.onnx"),
        ("golden", "golden/golden.npz"),
        ("datasets", "labels/labels.json"),
    ],
)
def test_damage_while_a_job_runs_is_the_hosts_fault(lab: Lab, cache: str, name: str) -> None:
    path = file_of(lab, cache, name)
    damage = f"pathlib.Path({str(path)!r}).write_bytes(b'x'); leave(document(status='failed', failure=failure)); sys.exit(1)"
    lab.behave(compile="makes-an-engine", infer=f"python:{damage}")
    failure = lab.run().result.failure
    assert failure is not None
    assert failure.kind is FailureKind.HOST
    assert f"{path}; the stage said: the SDK said no" in failure.message
    lab.behave(compile="makes-an-engine", infer="reads-its-engine")
    assert lab.run().result.status == "ok"


def test_an_engine_that_rots_unseen_is_the_hosts_fault_and_not_the_chips(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is not read in every job; after a failure it is."""
    monkeypatch.setattr(record, "SMALL_BYTES", 0)
    assert lab.run().result.status == "ok"
    path = file_of(lab, "engines", "cache/engine.bin")
    flip(path)
    digest = record.digest_of
    document = json.loads(file_of(lab, "engines", record.RECORD).read_text())
    recorded = document["files"]["cache/engine.bin"]
    monkeypatch.setattr(
        record,
        "digest_of",
        # As if no time of the file had changed.
        lambda folder, name, memory, *, thorough=False, **more: (
            digest(folder, name, memory, thorough=thorough, **more)
            if thorough or name != "cache/engine.bin"
            else recorded
        ),
    )
    result = lab.run().result
    assert result.failure is not None
    assert result.failure.kind is FailureKind.HOST
    assert "InvalidProtobuf" in result.failure.message
    monkeypatch.undo()
    assert lab.run().result.status == "ok"


def test_a_prepared_dataset_cannot_be_made_again_here_and_the_data_is_at_fault(
    lab: Lab, tmp_path: Path
) -> None:
    cached = file_of(lab, "datasets", "data/index.json").parents[1]
    prepared = tmp_path / "prepared"
    shutil.copytree(cached, prepared)
    (prepared / record.RECORD).unlink()
    assert lab.run(data=str(prepared)).result.status == "ok"
    flip(prepared / "labels" / "labels.json")
    with pytest.raises(
        DataFault, match=r"labels/labels\.json changed after it was prepared"
    ) as caught:
        lab.run(data=str(prepared))
    assert caught.value.exit_code == 3
