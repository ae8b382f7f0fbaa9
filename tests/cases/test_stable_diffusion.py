"""stable_diffusion_v1_4: noise, tokens, schedule, pipeline and CLIP score equal diffusers' and others'."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog.catalog import load_catalog
from driver.catalog.vendor import Stack, Vendor
from driver.results.gate import gate_accuracy
from driver.stacks.locks import parse_lock
from tests.cases.test_manifests import manifest
from tests.harness import modules
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.reference.stack import probe

if TYPE_CHECKING:
    from collections.abc import Callable

PROBES = Path(__file__).with_name("probes")
CASE = manifest("stable_diffusion_v1_4")
companions: Any = import_module("cases.stable_diffusion_v1_4.companions")
STACKS = {
    f"{vendor.name}-{stack.name}": (vendor, stack)
    for vendor in load_catalog(ROOT).vendors.values()
    for stack in vendor.stacks.values()
}


@pytest.fixture(scope="module")
def compared(reference_python: Path) -> dict[str, Any]:
    """Return how the case's parts compare with diffusers and transformers on small networks."""
    found: dict[str, Any] = probe(reference_python, PROBES / "stable_diffusion.py")
    return found


@pytest.mark.stack
def test_macs_and_parameters_are_those_of_the_model(reference_python: Path) -> None:
    counted = probe(reference_python, PROBES / "count_macs.py", CASE.name)
    assert counted[CASE.name] == {"parameters": CASE.model.parameters, "macs": CASE.model.macs}


def test_core_counts_unet_steps_of_a_prompt_which_are_two_latents() -> None:
    assert (CASE.item, CASE.core_item) == ("prompt", "unet step")
    assert CASE.model.macs == pytest.approx(2 * 401.6e9, rel=1e-3)
    assert CASE.model.macs_published == 6.78e11


@pytest.mark.parametrize(
    ("published", "passes"), [((17.1, 25.2), False), ((25.2, 25.3), True), ((26.524, 25.3), True)]
)
def test_the_gate_flags_the_published_fp16_row(
    published: tuple[float, float], passes: bool
) -> None:
    assert gate_accuracy(CASE.gate, CASE.metric, *published).passed is passes


@pytest.mark.stack
def test_the_schedule_is_that_of_diffusers(compared: dict[str, Any]) -> None:
    worst, same_timesteps, dtype = compared["schedules"]
    assert worst <= 1e-5
    assert same_timesteps is True
    assert dtype == "float32"


@pytest.mark.stack
def test_the_noise_is_that_of_torch(compared: dict[str, Any]) -> None:
    assert compared["noise"] <= 1e-5


@pytest.mark.stack
def test_tokens_are_those_of_clips_tokenizer(compared: dict[str, Any]) -> None:
    assert compared["tokens"] == []


@pytest.mark.stack
def test_latents_are_those_of_diffusers_pipeline(compared: dict[str, Any]) -> None:
    assert compared["pipeline"]["latents"] <= 1e-5
    assert compared["pipeline"]["moved"] > 0.1


@pytest.mark.stack
def test_a_picture_does_not_depend_on_the_batch_it_is_in(compared: dict[str, Any]) -> None:
    assert compared["pipeline"]["batch"] <= 1e-3


@pytest.mark.stack
def test_a_core_step_has_the_declared_inputs(compared: dict[str, Any]) -> None:
    prompts = 2
    assert compared["pipeline"]["core"] == {
        spec.name: [
            [prompts * spec.rows_per_item, *spec.shape] if spec.batched else list(spec.shape),
            spec.dtype,
        ]
        for spec in CASE.model.inputs
    }


@pytest.mark.stack
def test_companions_load_under_the_names_that_the_hubs_files_use(compared: dict[str, Any]) -> None:
    assert compared["folders"]["text"] is True
    assert compared["folders"]["vae"] is True


@pytest.mark.stack
def test_the_unet_of_a_folder_computes_what_the_saved_one_did(compared: dict[str, Any]) -> None:
    assert compared["unet"]["same"] == [True, True]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unet_keys", "1 missing: conv_in.bias; 1 unexpected: conv_first.bias"),
        ("unet_cut", "cannot be read"),
        ("unet_other", "block_out_channels [32, 64] instead of [320, 640, 1280, 1280]"),
    ],
)
def test_bad_weights_of_the_unet_are_refused(
    compared: dict[str, Any], fault: str, said: str
) -> None:
    kind, message = compared["unet"]["bad"][fault]
    assert kind == "data"
    assert said in message


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing_key", "1 missing: decoder.conv_in.bias"),
        ("cut", "cannot be read"),
        ("other", "block_out_channels [8] instead of [128, 256, 512, 512]"),
        ("absent", "has no config.json"),
        ("steps", "1001 steps, expected 1 to 1000"),
        ("not_utf8", "not UTF-8"),
        ("no_vocabulary", "vocab.json"),
    ],
)
def test_bad_weights_and_prompts_are_refused(
    compared: dict[str, Any], fault: str, said: str
) -> None:
    kind, message = compared["folders"]["bad"][fault]
    assert kind == "data"
    assert said in message


@pytest.mark.stack
def test_the_clip_score_is_that_of_the_models_own_processor(compared: dict[str, Any]) -> None:
    clip = compared["clip"]
    assert clip["pixels"] <= 1e-6
    assert clip["ours"] == pytest.approx(clip["theirs"], abs=1e-4)
    assert clip["apart"] > 0.1


@pytest.mark.stack
def test_the_result_names_the_clip_weights(compared: dict[str, Any]) -> None:
    assert {"clip_model", "clip_sha256"} <= set(compared["clip"]["named"])


@pytest.mark.stack
@pytest.mark.parametrize("name", ["text_encoder", "vae"])
def test_companions_are_read_by_the_oldest_runtime_of_any_stack(
    compared: dict[str, Any], name: str
) -> None:
    found = compared["exported"][name]
    assert found["cosine_min"] >= 0.99999
    # ONNX Runtime 1.14, the last for Python 3.7, reads opset 18 and file format 8.
    assert (found["opset"], found["ir_version"]) == (18, 8)


@pytest.mark.parametrize(("vendor", "stack"), STACKS.values(), ids=STACKS)
def test_every_stack_has_a_runtime_for_the_companions_from_its_lock_or_its_base(
    vendor: Vendor, stack: Stack
) -> None:
    specs = vendor.manifest.of_stack(stack.name).engines.values()
    engines = [spec for spec in specs if stack.name in spec.stacks]
    if engines and all(spec.generates == "only" for spec in engines):
        return  # It runs language models alone.
    pins = {pin.name: pin.version for pin in parse_lock(stack.folder / "requirements.lock")}
    torch = "torch" in pins or "torch" in stack.manifest.versions
    # A base that has PyTorch, of a version that only its registry knows.
    torch = torch or any(spec.harness_engine == "torch_cuda" for spec in engines)
    # A build with another execution provider has a name of its own, and the same module.
    runtimes = [pins[name] for name in pins if name.partition("-")[0] == "onnxruntime"]
    assert any(map(companions.reads_companions, runtimes)) or (
        torch and {"transformers", "diffusers"} <= set(pins)
    )


@pytest.mark.parametrize(
    ("version", "reads"),
    [("1.31.1", True), ("1.14.1", True), ("1.12.0+mc2.19.2.5", False), ("1.9.0", False)],
)
def test_a_runtime_before_opset_18_is_told_by_its_version(version: str, reads: bool) -> None:
    assert companions.reads_companions(version) is reads


@pytest.fixture
def lay(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Return what lays the packages of an image out, name → version: others cannot be imported."""
    for kind in ("OnnxCompanion", "TorchCompanion"):
        monkeypatch.setattr(companions, kind, lambda *_, kind=kind: kind)

    def lay(image: dict[str, str]) -> None:
        for name in ("onnxruntime", "torch"):
            module = SimpleNamespace(__version__=image[name]) if name in image else None
            monkeypatch.setitem(sys.modules, name, module)

    return lay


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ({"onnxruntime": "1.16.3"}, "OnnxCompanion"),
        ({"onnxruntime": "1.16.3", "torch": "2.1.0"}, "OnnxCompanion"),
        ({"torch": "2.0.0"}, "TorchCompanion"),
        ({"onnxruntime": "1.12.0", "torch": "2.0.0"}, "TorchCompanion"),
    ],
)
def test_companions_run_on_what_reads_them(
    lay: Callable[[dict[str, str]], None], image: dict[str, str], kind: str
) -> None:
    lay(image)
    assert companions.load(Path("model"), "vae", 1) == kind


def test_an_image_whose_runtime_is_too_old_and_has_no_torch_is_told_so(
    lay: Callable[[dict[str, str]], None],
) -> None:
    lay({"onnxruntime": "1.12.0"})
    with pytest.raises(modules.errors.StageFailure) as caught:
        companions.load(Path("model"), "vae", 1)
    assert caught.value.kind == "image"
    assert "onnxruntime 1.12.0" in str(caught.value)
    assert "1.14" in caught.value.remedy
