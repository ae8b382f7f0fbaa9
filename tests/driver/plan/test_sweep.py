"""The plan of a sweep on a scheduler: kinds of device become arrays, exports are shared, keys are stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.plan.sweep import Planned, Wanted, plan_tasks
from driver.system.settings import SlurmSettings
from tests.driver.miniature import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.catalog import Catalog

MADE_OF = dict.fromkeys(
    ("case", "hook", "stack", "harness", "reference", "reference_stack", "weights", "data"), "0"
)
GRES = '\n[scheduler]\ngres = "gpu:{chip}:{count}"\n'


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    root = make_tree(tmp_path)
    vendor = root / "vendor_hooks" / "acme" / "vendor.toml"
    text = vendor.read_text() + '[chips."Two X"]\ntitle = "Two"\n' + GRES
    vendor.write_text(text)
    return load_catalog(root)


def planned(
    catalog: Catalog,
    *asked: dict[str, Any],
    slurm: SlurmSettings | None = None,
    largest: int = 100,
    again: str = "",
    **made_of: str,
) -> Planned:
    wanted = [
        Wanted(
            choice=choose(Request(case="tiny", vendor="acme", **one), catalog),
            made_of=MADE_OF | made_of,
        )
        for one in asked
    ]
    return plan_tasks(wanted, slurm or SlurmSettings(), largest_array=largest, again=again)


def test_jobs_are_grouped_by_what_they_ask_for_and_exports_come_first(catalog: Catalog) -> None:
    chips = [{"chip": "Two X"}, {"chip": "One"}, {"chip": "Two X", "device": "0,1"}]
    found = planned(catalog, *chips)
    assert [(one.title, one.first, one.count, one.ask) for one in found.arrays] == [
        ("exports", 0, 1, ()),
        ("acme One", 1, 1, ("--gres=gpu:one:1",)),
        ("acme Two X", 2, 1, ("--gres=gpu:two_x:1",)),
        ("acme Two X", 3, 1, ("--gres=gpu:two_x:2",)),
    ]
    assert found.arrays[0].exports
    assert [task.does for task in found.tasks] == ["export", "job", "job", "job"]
    assert {task.export for task in found.tasks[1:]} == {0}


def test_an_export_is_shared_unless_it_is_another_one(catalog: Catalog) -> None:
    sizes = [{"batch_size": size} for size in (1, 2, 4)]
    assert planned(catalog, *sizes).arrays[0].count == 1
    # This engine wants the batch fixed, and another opset.
    fixed = [{"engine": "fixed", **size} for size in sizes]
    found = planned(catalog, *sizes, *fixed)
    assert found.arrays[0].count == 4
    assert sorted({task.export for task in found.tasks if task.export is not None}) == [0, 1, 2, 3]


def test_an_array_above_the_limit_is_split(catalog: Catalog) -> None:
    found = planned(catalog, *({"batch_size": size} for size in range(1, 24)), largest=10)
    assert [(one.first, one.count) for one in found.arrays] == [(0, 1), (1, 10), (11, 10), (21, 3)]


def test_equal_jobs_become_one_task_and_the_same_plan_has_the_same_keys(catalog: Catalog) -> None:
    found = planned(catalog, {}, {"precision": "fp32"}, {"precision": "fp16"})
    assert len(found.tasks) == 3
    assert planned(catalog, {}, {"precision": "fp16"}).tasks == found.tasks


@pytest.mark.parametrize("changed", ["case", "hook", "stack", "harness", "weights", "data"])
def test_another_input_is_another_job(catalog: Catalog, changed: str) -> None:
    keys = {one.key for one in planned(catalog, {}).tasks if one.does == "job"}
    made_of: dict[str, Any] = {changed: "1"}
    other = {one.key for one in planned(catalog, {}, **made_of).tasks if one.does == "job"}
    assert keys.isdisjoint(other)


def test_again_makes_every_task_a_new_one(catalog: Catalog) -> None:
    keys = {one.key for one in planned(catalog, {}).tasks}
    assert keys.isdisjoint(one.key for one in planned(catalog, {}, again="ab").tasks)


def test_a_labs_own_names_and_limits_replace_the_vendors(catalog: Catalog) -> None:
    slurm = SlurmSettings(
        partition="gpu",
        account="lab",
        qos="low",
        time="2:00:00",
        memory="64G",
        cpus=8,
        options=("--constraint=hbm",),
        exports=("--partition=cpu",),
        gres={"acme": "accelerator:{count}"},
    )
    exports, jobs = planned(catalog, {}, slurm=slurm).arrays
    common = ("--partition=gpu", "--account=lab", "--qos=low", "--time=2:00:00", "--mem=64G")
    assert jobs.ask[:5] == common
    assert jobs.ask[5:] == ("--cpus-per-task=8", "--constraint=hbm", "--gres=accelerator:1")
    # The last of two equal options counts for sbatch.
    assert exports.ask[-1] == "--partition=cpu"
    assert not any("gres" in word for word in exports.ask)
