"""Every stack's image, built through all its steps on stand-ins, and every engine run in its container.

`make test-vendors`. What comes out is marked simulated and measures nothing; what is shown is that
Dockerfile, lock, hook and harness work together in the container, in the stack's own Python.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.errors import AssayError
from driver.stacks.image import ImageBuilder
from driver.stacks.locks import parse_lock
from driver.system.settings import ROOT
from tests.vendor_images.bases import BASES, STANDINS
from tests.vendor_images.conftest import lacking
from tests.vendor_images.images import ensure_image, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from driver.stacks.image import StackImage
    from driver.system.settings import Settings

pytestmark = pytest.mark.vendors

CATALOG = load_catalog(ROOT)
EVERY = [
    (vendor, stack, name, engine)
    for vendor, stack in BASES
    for name, engine in CATALOG.vendor(vendor).manifest.of_stack(stack).engines.items()
    if stack in engine.stacks
]
RUNS = [
    (vendor, stack, name) for vendor, stack, name, engine in EVERY if engine.generates != "only"
]
SERVING = [
    (vendor, stack, name) for vendor, stack, name, engine in EVERY if engine.generates == "only"
]
CASE = "vit_b_32"
LANGUAGE_MODEL = "llama_pydoc"
ITEMS = 8
BATCH_SIZE = 4
COSINE_MIN = 0.9999
COSINE_MIN_16 = 0.99
"""Of logits in 16 bits."""
LISTING = "cd /opt/stack/lib/python3.*/site-packages && ls -d *.dist-info"


Images = Callable[[str, str], "StackImage"]


@pytest.fixture(scope="session")
def image_of(engine: Any, settings: Settings) -> Images:
    """Return what makes a stack's image, once a session; a failure is raised for each who asks."""
    made: dict[tuple[str, str], StackImage | AssayError] = {}

    def image(vendor: str, stack: str) -> StackImage:
        if (vendor, stack) not in made:
            try:
                made[vendor, stack] = ensure_image(
                    engine.api, settings, stack_of(vendor, stack), lambda _text: None
                )
            except AssayError as error:
                made[vendor, stack] = error
        found = made[vendor, stack]
        if isinstance(found, AssayError):
            lacking(f"{found.message}: {found.remedy}")
        return found

    return image


#: Chips that the host's monitor shows, for stacks that do not support the default chip.
SEEN = {"cann9-vllm0.23": "910B4", "cann9.1-910b": "910B4"}


def run_case(vendor: str, stack: str, engine: str, out: Path, case: str = CASE) -> dict[str, Any]:
    """Type the command of the documents, with the stand-in's monitor first on PATH."""
    command = [
        *(str(ROOT / "driver" / "assay"), "run", "--format", "json", "--runner", "docker"),
        *("--case", case, "--vendor", vendor, "--stack", stack, "--engine", engine),
        *("--weights", "synthetic", "--data", "synthetic"),
        *("--limit", str(ITEMS), "--bs", str(BATCH_SIZE)),
    ]
    path = f"{STANDINS / vendor / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={
            **os.environ,
            **({"ASSAY_STANDIN_CHIP": SEEN[stack]} if stack in SEEN else {}),
            "ASSAY_STANDINS": "1",
            "OUT": str(out),
            "PATH": path,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(("vendor", "stack"), BASES, ids=map("-".join, BASES))
def test_an_image_holds_what_its_lock_names_and_nothing_else(
    engine: Any, image_of: Images, vendor: str, stack: str
) -> None:
    image = image_of(vendor, stack)
    listed: bytes = engine.containers.run(
        image.id, ["sh", "-c", LISTING], remove=True, network_mode="none"
    )
    pins = parse_lock(stack_of(vendor, stack).folder / "requirements.lock")
    # ais_bench's wheels come from its vendor.
    own = [file for file in json.loads(image.labels["assay.installers"]) if file.endswith(".whl")]
    expected = {f"{pin.name}-{pin.version}" for pin in pins} | {name_of(file) for file in own}
    assert {name_of(line) for line in listed.decode().split()} == expected


@pytest.mark.parametrize(("vendor", "stack"), BASES, ids=map("-".join, BASES))
def test_its_user_can_read_all_that_was_unpacked(
    engine: Any, image_of: Images, vendor: str, stack: str
) -> None:
    image = image_of(vendor, stack)
    places = "/opt /usr/local/Ascend"
    find = f"for at in {places}; do [ ! -e $at ] || find $at ! -readable; done"
    found: bytes = engine.containers.run(
        image.id, ["sh", "-c", find], remove=True, network_mode="none", cap_drop=["ALL"]
    )
    assert found.decode() == ""


def name_of(file: str) -> str:
    """Return name-version of a wheel's or a .dist-info's name, as a lock spells it."""
    name, version = file.removesuffix(".dist-info").split("-")[:2]
    return f"{name.lower().replace('_', '-').replace('.', '-')}-{version}"


@pytest.mark.parametrize(("vendor", "stack"), BASES, ids=map("-".join, BASES))
def test_an_image_on_a_stand_in_is_not_taken_for_the_vendors(
    engine: Any, settings: Settings, image_of: Images, vendor: str, stack: str
) -> None:
    image = image_of(vendor, stack)
    builder = ImageBuilder(
        api=engine.api, home=settings.home, torch_index="", on_progress=lambda _text: None
    )
    found = builder.find(stack_of(vendor, stack))
    assert image.stand_in
    assert found is None or not found.stand_in


@pytest.mark.parametrize(("vendor", "stack", "name"), RUNS, ids=map("-".join, RUNS))
def test_an_engine_runs_in_its_container(
    engine: Any, image_of: Images, vendor: str, stack: str, name: str, tmp_path: Path
) -> None:
    image = image_of(vendor, stack)
    result = run_case(vendor, stack, name, tmp_path)
    spec = CATALOG.vendor(vendor).manifest.of_stack(stack).engines[name]
    precision = spec.precisions[spec.default_precision]
    job, metrics, provenance = result["job"], result["metrics"], result["provenance"]

    assert (result["status"], result["failure"]) == ("ok", None)
    assert result["simulated"] is True
    assert (result["weights"], result["data"]) == ("synthetic", "synthetic")
    assert (job["stack"], job["engine"], job["runner"]) == (stack, name, "docker")
    assert job["precision"] == spec.default_precision
    codes = {warning["code"] for warning in result["warnings"]}
    # By default TensorRT's layers have names alone, and no provider of ONNX Runtime states it: what is not read
    # back is not taken from the job.
    unread = "arithmetic_unread" in codes
    silent = name == "torch_tensorrt" or spec.harness_engine == "onnxruntime"
    stated = provenance["effective"]["infer"].get("arithmetic")
    assert stated == (None if unread and silent else precision.arithmetic)
    assert unread == bool(provenance["effective"]["infer"].get("arithmetic_unread"))
    assert provenance["core"]["clock"] == spec.clock
    if vendor == "ascend" and name in ("cann", "ais_bench", "benchmark"):
        assert provenance["effective"]["infer"]["chip_source"] == "npu-smi"

    assert metrics["p_infer_core"] > 0
    assert metrics["p_infer_whole"] > 0
    # Agreement with the reference's fp32, of every item, and of the framework where there is one.
    assert (metrics["acc_infer"], metrics["acc_items"]) == (100.0, ITEMS)
    assert metrics["acc_val"] == (100.0 if spec.validate_engine else None)
    assert metrics["fidelity"]["items"] == ITEMS
    assert metrics["fidelity"]["cosine_min"] > COSINE_MIN

    watched = result["monitor"]["infer-0"]
    assert watched["simulated"] is True
    assert watched["samples"][0]["devices"][0]["name"]
    assert metrics["mem_gib"] is not None
    # The stand-in's device is nobody else's, and idle before and after the job.
    assert "device_shared" not in codes

    assert provenance["vendor_stack"]["image"] == image.tag
    assert re.match("assay/standin:", provenance["vendor_stack"]["base"])
    unpinned = [one["message"] for one in result["warnings"] if one["code"] == "unpinned"]
    assert any(f"{image.tag}: assay/standin:" in said for said in unpinned)
    isolation = provenance["isolation"]["infer"]
    assert (isolation["container"], isolation["network"]) == (True, "none")
    assert isolation["devices"] == []
    assert engine.containers.list(all=True, filters={"label": f"assay.job={job['id']}"}) == []


@pytest.mark.parametrize(("vendor", "stack", "name"), SERVING, ids=map("-".join, SERVING))
def test_a_serving_engine_runs_a_language_model_in_its_container(
    image_of: Images, vendor: str, stack: str, name: str, tmp_path: Path
) -> None:
    image = image_of(vendor, stack)
    result = run_case(vendor, stack, name, tmp_path, LANGUAGE_MODEL)
    metrics, provenance = result["metrics"], result["provenance"]
    assert (result["status"], result["failure"]) == ("ok", None)
    assert result["simulated"] is True
    # On a busy machine a loop may be a single batch: one first token, which has no median.
    assert metrics["generation"]["ttft_ms"]["max"] > 0
    assert metrics["p_infer_core"] > 0
    assert metrics["fidelity"]["cosine_min"] > COSINE_MIN_16
    assert "schedule" in provenance["core"]["includes"]
    assert provenance["vendor_stack"]["image"] == image.tag
