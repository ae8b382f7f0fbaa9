"""The plan: names are looked up, defaults filled in, and a job's id depends on what it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from driver.catalog.catalog import Catalog, load_catalog
from driver.errors import UsageFault
from driver.models.base import RunnerName, StageName, Tier
from driver.plan.chips import SeenDevice
from driver.plan.choice import Choice, Skip, choose, combine, expand
from driver.plan.job import Material, PlannedJob, plan_job
from driver.plan.request import Request
from driver.plan.tiers import tier_that_ran
from driver.system.host.machine import HostFacts
from tests.driver.miniature import make_tree

HOST = HostFacts(threads=2, memory_bytes=8 << 30)
MATERIAL = Material(
    weights_kind="published",
    weights_format="huggingface",
    weights_digest="w",
    data_kind="real",
    data_digest="d",
    data_count=4,
    code={
        "case": "1",
        "hook": "2",
        "harness": "3",
        "reference": "4",
        "stack": "5",
        "reference_stack": "6",
    },
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load_catalog(make_tree(tmp_path))


def ask(**changes: object) -> Request:
    return Request(case="tiny", vendor="acme").model_copy(update=changes)


def planned(catalog: Catalog, material: Material = MATERIAL, **changes: object) -> PlannedJob:
    return plan_job(choose(ask(**changes), catalog), material, HOST)


def test_defaults_come_from_case_vendor_and_stack(catalog: Catalog) -> None:
    choice = choose(ask(), catalog)
    assert (choice.engine_name, choice.precision_name, choice.chip_name) == ("turbo", "fp32", "One")
    assert (choice.batch_size, choice.tier, choice.runner) == (2, Tier.SMOKE, RunnerName.PROCESS)


def test_an_alias_names_the_case(catalog: Catalog) -> None:
    assert choose(ask(case="t"), catalog).case.name == "tiny"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"case": "tinny"}, r"unknown case 'tinny' \(did you mean tiny\?\)"),
        ({"vendor": "acmee"}, r"unknown vendor 'acmee' \(did you mean acme\?\)"),
        ({"stack": "v2"}, r"unknown stack of vendor acme 'v2' \(did you mean v1\?\)"),
        ({"engine": "turbot"}, r"unknown engine of vendor acme 'turbot' \(did you mean turbo\?\)"),
        ({"precision": "fp61"}, r"unknown precision of acme turbo 'fp61' \(did you mean fp16\?\)"),
        ({"chip": "Ones"}, r"unknown chip of vendor acme 'Ones' \(did you mean One\?\)"),
        (
            {"preprocess": "othr"},
            r"unknown PREPROCESS of case tiny 'othr' \(did you mean other\?\)",
        ),
    ],
)
def test_an_unknown_name_offers_the_nearest(
    catalog: Catalog, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageFault, match=said):
        choose(ask(**changes), catalog)


def test_a_stack_without_the_engine_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageFault, match="has no engine 'turbo'"):
        choose(ask(stack="image-only", engine="turbo"), catalog)


@pytest.fixture
def newer(tmp_path: Path) -> Catalog:
    """Return a catalog in which only the newer of two stacks of an engine has bf16."""
    manifest = make_tree(tmp_path) / "vendor_hooks/acme/vendor.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text + NEWER, encoding="utf-8")
    return load_catalog(tmp_path)


NEWER = """
[engines.both]
stacks = ["v1", "image-only"]
default_precision = "fp32"
[engines.both.precisions]
fp32 = { arithmetic = "fp32" }
bf16 = { arithmetic = "bf16", stacks = ["image-only"] }
"""


def test_a_precision_chooses_the_stack_that_has_it(newer: Catalog) -> None:
    assert choose(ask(engine="both"), newer).stack.name == "v1"
    assert choose(ask(engine="both", precision="bf16"), newer).stack.name == "image-only"


def test_a_stack_without_the_precision_is_refused(newer: Catalog) -> None:
    with pytest.raises(
        UsageFault, match="stack 'v1' of acme has no bf16 for engine 'both'"
    ) as caught:
        choose(ask(engine="both", precision="bf16", stack="v1"), newer)
    assert caught.value.remedy == "use STACK=image-only, or PRECISION=fp32"


def test_a_stack_that_needs_its_image_runs_in_docker_only(catalog: Catalog) -> None:
    asked = ask(engine="fixed", stack="image-only")
    assert choose(asked, catalog).runner is RunnerName.DOCKER
    with pytest.raises(UsageFault, match="only in its image"):
        choose(asked.model_copy(update={"runner": RunnerName.PROCESS}), catalog)


def test_limit_makes_a_smoke_run(catalog: Catalog) -> None:
    choice = choose(ask(tier=Tier.STANDARD, limit=3), catalog)
    assert choice.tier is Tier.SMOKE
    assert choice.measure.limit == 3


@pytest.mark.parametrize("repeat", [1, 4])
def test_an_official_run_has_five_processes(catalog: Catalog, repeat: int) -> None:
    with pytest.raises(UsageFault, match=f"at least 5 processes, not in REPEAT={repeat}"):
        choose(ask(tier=Tier.OFFICIAL, repeat=repeat), catalog)
    assert choose(ask(tier=Tier.OFFICIAL, repeat=6), catalog).measure.repeats == 6
    assert choose(ask(tier=Tier.STANDARD, repeat=1), catalog).measure.repeats == 1


@pytest.mark.parametrize(
    ("asked", "processes", "too_short", "ran"),
    [
        (Tier.OFFICIAL, 5, False, Tier.OFFICIAL),
        (Tier.OFFICIAL, 4, False, Tier.STANDARD),
        (Tier.OFFICIAL, 5, True, Tier.STANDARD),
        (Tier.STANDARD, 1, True, Tier.STANDARD),
        (Tier.SMOKE, 9, False, Tier.SMOKE),
    ],
)
def test_a_tier_is_what_ran(asked: Tier, processes: int, too_short: bool, ran: Tier) -> None:
    assert tier_that_ran(asked, processes, too_short=too_short) is ran


def test_an_official_run_allows_no_limit(catalog: Catalog) -> None:
    with pytest.raises(UsageFault, match="takes no LIMIT"):
        choose(ask(tier=Tier.OFFICIAL, limit=3), catalog)


@pytest.mark.parametrize(
    ("tier", "seconds", "repeats"), [(Tier.STANDARD, 60.0, 3), (Tier.OFFICIAL, 600.0, 5)]
)
def test_tiers_measure_as_long_as_documented(
    catalog: Catalog, tier: Tier, seconds: float, repeats: int
) -> None:
    measure = choose(ask(tier=tier), catalog).measure
    assert (measure.min_seconds, measure.repeats) == (seconds, repeats)


@pytest.mark.parametrize(
    ("case", "vendor", "limit", "single", "validates"),
    [
        ("sam", "cpu", 3, True, False),
        ("sd", "intel", 2, True, False),
        ("vit", "cpu", 64, True, True),  # eight pictures take seconds, one does not
        ("vit_b_32", "cpu", 64, False, True),
        ("sam", "nvidia", 3, False, True),
        ("sam", "cpu", None, False, True),
    ],
)
def test_only_smoke_runs_of_slow_models_on_a_host_make_a_single_pass(
    case: str, vendor: str, limit: int | None, *, single: bool, validates: bool
) -> None:
    tree = load_catalog(Path(__file__).resolve().parents[3])
    asked = Request(case=case, vendor=vendor, limit=limit, tier=Tier.STANDARD)
    choice = choose(asked, tree)
    job = plan_job(choice, MATERIAL, HOST)
    assert choice.measure.single_pass is single
    assert (job.template.golden_count == 1) is (case in ("sam", "sd"))
    assert (StageName.VALIDATE in job.stages) is validates


def test_an_engine_of_the_harness_validates_with_its_own_options() -> None:
    tree = load_catalog(Path(__file__).resolve().parents[3])
    asked = Request(case="vit_b_32", vendor="amd", engine="migraphx")
    job = plan_job(choose(asked, tree), MATERIAL, HOST).template
    assert (job.harness_engine, job.validate_engine) == (None, "eager")
    assert job.validate_harness_engine == "torch_cuda"
    assert job.validate_options["torch_build"] == "hip"


@pytest.mark.parametrize(
    ("options", "tier"),
    [
        ((("prompts", "2"),), Tier.SMOKE),
        ((("steps", "3"),), Tier.SMOKE),
        ((("steps", "50"), ("prompts", "10")), Tier.STANDARD),
        ((("prompts", "20"),), Tier.STANDARD),
        ((), Tier.STANDARD),
    ],
)
def test_a_smaller_value_of_an_option_makes_a_smoke_run(
    options: tuple[tuple[str, str], ...], tier: Tier
) -> None:
    tree = load_catalog(Path(__file__).resolve().parents[3])
    asked = Request(case="sd", vendor="cpu", options=options)
    assert choose(asked, tree).tier is tier
    if tier is Tier.SMOKE:
        with pytest.raises(UsageFault, match=f"takes no {options[0][0].upper()}"):
            choose(asked.model_copy(update={"tier": Tier.OFFICIAL}), tree)


def test_the_same_inputs_give_the_same_id(catalog: Catalog) -> None:
    assert planned(catalog).key == planned(catalog).key


@pytest.mark.parametrize(
    "part", ["case", "hook", "harness", "reference", "stack", "reference_stack"]
)
def test_changed_code_gives_another_job(catalog: Catalog, part: str) -> None:
    changed = replace(MATERIAL, code={**MATERIAL.code, part: "changed"})
    assert planned(catalog, changed).key.id != planned(catalog).key.id


@pytest.mark.parametrize("changes", [{"weights_digest": "x"}, {"data_digest": "x"}])
def test_changed_weights_or_data_give_another_job(
    catalog: Catalog, changes: dict[str, str]
) -> None:
    changed = replace(MATERIAL, **changes)  # type: ignore[arg-type]
    assert planned(catalog, changed).key.id != planned(catalog).key.id


def test_a_dynamic_export_is_shared_by_batch_sizes_and_a_static_one_is_not(
    catalog: Catalog,
) -> None:
    assert planned(catalog).export_key == planned(catalog, batch_size=8).export_key
    fixed = planned(catalog, engine="fixed")
    assert fixed.export_key != planned(catalog, engine="fixed", batch_size=8).export_key


def test_another_precision_or_batch_size_recompiles_the_engine(catalog: Catalog) -> None:
    keys = {
        planned(catalog).compile_key,
        planned(catalog, precision="fp16").compile_key,
        planned(catalog, batch_size=8).compile_key,
    }
    assert len(keys) == 3


def of_host(*processors: str, **changes: object) -> list[PlannedJob]:
    """Return a job of the vendor whose device is the host, on each of some processors."""
    tree = load_catalog(Path(__file__).resolve().parents[3])
    asked = Request(case="vit_digits", vendor="intel").model_copy(update=changes)
    seen = [{"intel": (SeenDevice(name=name),)} if name else {} for name in processors]
    return [plan_job(choose(asked, tree, devices), MATERIAL, HOST) for devices in seen]


def test_an_engine_is_compiled_anew_for_another_processor() -> None:
    """OpenVINO's blobs are code for the processor that compiled them."""
    one, again, other = of_host("AMD EPYC 9B14", "AMD EPYC 9B14", "Intel Xeon Gold 6348")
    assert one.compile_key == again.compile_key
    assert one.compile_key != other.compile_key
    assert one.key.id != other.key.id
    assert one.engine_reusable


def test_an_engine_of_a_processor_that_nobody_knows_is_not_kept_for_others() -> None:
    (job,) = of_host("", runner=RunnerName.SLURM)
    assert not job.engine_reusable


def test_data_changes_neither_the_model_nor_the_engine(catalog: Catalog) -> None:
    other = planned(catalog, replace(MATERIAL, data_digest="x"))
    assert other.export_key == planned(catalog).export_key
    assert other.compile_key == planned(catalog).compile_key
    assert other.golden_key != planned(catalog).golden_key


def test_validate_is_a_stage_only_where_the_stack_has_a_framework(catalog: Catalog) -> None:
    assert StageName.VALIDATE in planned(catalog).stages
    assert StageName.VALIDATE not in planned(catalog, engine="fixed").stages


def test_golden_items_never_exceed_the_dataset(catalog: Catalog) -> None:
    assert planned(catalog).template.golden_count == 3
    assert planned(catalog, replace(MATERIAL, data_count=2)).template.golden_count == 2


def test_a_sweep_is_the_product_of_its_axes_and_skips_the_impossible(catalog: Catalog) -> None:
    requests = combine(ask(), {"precision": ["fp32", "fp8"], "batch_size": [1, 4]})
    found = expand(requests, catalog)
    assert [type(one) for one in found] == [Choice, Choice, Skip, Skip]
    skip = found[2]
    assert isinstance(skip, Skip)
    assert "fp8" in skip.reason
