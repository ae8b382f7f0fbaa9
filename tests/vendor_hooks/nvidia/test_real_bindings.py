"""The hook and the stand-in against NVIDIA's genuine Python bindings, release by release.

The bindings come from the package index and run on libraries that do nothing (bindings/stub.c): what is proven here
is that every name exists and every call is accepted. How TensorRT then behaves needs a GPU.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.harness.job_folder import ROOT
from tests.vendor_hooks.nvidia import bindings

pytestmark = pytest.mark.stack

PROBES = Path(__file__).parent / "probes"
HOOK = ROOT / "vendor_hooks" / "nvidia"
SHARED = ROOT / "vendor_hooks" / "harness" / "engines" / "trt"
STANDINS = ROOT / "tests" / "standins"
RELEASES = ("8.6.1", "10.0.1", "10.3.0", "10.16.1.11", "11.1.0.106", "11.4.0.106")
STRONG = "11"
#: The releases that the stand-in imitates → the genuine one that it is compared with.
IMITATED = {"8.6.1": "8.6.1", "10.3.0": "10.3.0", "10.16.1": "10.16.1.11", "11.1.0": "11.1.0.106"}

#: How the hook's source calls an object → its class in the bindings; "tensorrt" is the module itself.
RECEIVERS = {
    "tensorrt": "tensorrt",
    "trt": "tensorrt",
    "self._trt": "tensorrt",
    "self.sdk()": "tensorrt",
    "_sdk()": "tensorrt",
    "sdk": "tensorrt",
    "builder": "Builder",
    "self._builder": "Builder",
    "network": "INetworkDefinition",
    "layer": "ILayer",
    "layer.get_input(0)": "ITensor",
    "tensor": "ITensor",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "config.get_timing_cache()": "ITimingCache",
    "profile": "IOptimizationProfile",
    "flags": "BuilderFlag",
    "kinds": "Severity",
    "self._runtime": "Runtime",
    "engine": "ICudaEngine",
    "self._engine": "ICudaEngine",
    "self._context": "IExecutionContext",
    "inspector": "EngineInspector",
}
#: Names that some releases lack, each with those that have it; the hook's version branches keep from the others.
SOME_RELEASES = {
    ("BuilderFlag", "FP16"): "until 10",
    ("BuilderFlag", "BF16"): "since 9 until 10",
    ("BuilderFlag", "INT8"): "until 10",
    ("BuilderFlag", "FP8"): "until 10",
    ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"): "until 10",
    ("ICudaEngine", "device_memory_size"): "until 10",
    ("ICudaEngine", "device_memory_size_v2"): "since 10.1",
}
#: Names that are there in more releases than the hook comes to them in.
USED_ONLY = {
    ("ICudaEngine", "device_memory_size"): "until 10.0",
    ("tensorrt", "NetworkDefinitionCreationFlag"): "until 10",
    ("tensorrt", "LayerType"): "since 11",
    ("INetworkDefinition", "num_layers"): "since 11",
    ("INetworkDefinition", "get_layer"): "since 11",
    ("ILayer", "type"): "since 11",
    ("ILayer", "get_input"): "since 11",
    ("ITensor", "dtype"): "since 11",
}
#: Names that a run which succeeds does not come to.
UNREACHED = {("OnnxParser", "get_error"), ("OnnxParser", "num_errors")}
#: What the run touches by getattr, under names that the source has in lists.
LISTED = {"CONVOLUTION", "DECONVOLUTION", "EINSUM", "MATRIX_MULTIPLY"}
#: A class of Python has the buffer protocol only as bytes, whose methods come along.
AS_BYTES = {"IHostMemory"}


def genuine(release: str) -> Path:
    """Return the folder of a release's bindings; skips where they cannot be installed."""
    folder, reason = bindings.installed(f"tensorrt-{release}")
    if folder is None:
        pytest.skip(reason)
    return folder


def probe(name: str, *arguments: str, path: list[Path], **environment: str) -> Any:
    """Run a script of probes/ with folders on its path; return its document."""
    library = os.pathsep.join(str(folder / "lib") for folder in path if (folder / "lib").is_dir())
    done = subprocess.run(
        [sys.executable, "-B", str(PROBES / name), *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "LD_LIBRARY_PATH": library,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@cache
def ran(release: str, precision: str, datatype: str = "FLOAT") -> Any:
    """Return what the hook did on a release's bindings: built an engine, loaded it, inferred a batch."""
    arguments = (str(ROOT / "vendor_hooks"), precision, datatype)
    return probe("real_tensorrt.py", *arguments, path=[genuine(release)])


@cache
def described(release: str) -> Any:
    """Return what a release's bindings offer."""
    return probe("describe_module.py", "tensorrt_bindings", path=[genuine(release)])


def names_in_the_source() -> set[tuple[str, str]]:
    """Return (class, name) of everything that the hook's source uses of TensorRT."""
    own = [HOOK / "trt_build.py", HOOK / "trt_plan.py", HOOK / "engines" / "tensorrt.py"]
    files = [
        *own,
        *(SHARED / name for name in ("network.py", "engine.py", "plan.py", "datatypes.py")),
    ]
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found |= _class_of(ast.unparse(node.value), node.attr)
    return found


def _class_of(receiver: str, name: str) -> set[tuple[str, str]]:
    owner, _, last = receiver.rpartition(".")
    # trt.BuilderFlag.TF32: the enum's name is the class.
    if RECEIVERS.get(owner) == "tensorrt" and last[:1].isupper():
        return {(last, name)}
    return {(RECEIVERS[receiver], name)} if receiver in RECEIVERS else set()


def version(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def has(release: str, rule: str) -> bool:
    """Tell whether a rule such as "until 10", "since 10.1" or "since 9 until 10" includes a release."""
    words = rule.split()
    bounds = [(word, version(bound)) for word, bound in zip(words[::2], words[1::2], strict=True)]
    ours = [(word, version(release)[: len(bound)], bound) for word, bound in bounds]
    return all(own <= bound if word == "until" else own >= bound for word, own, bound in ours)


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_that_the_hook_uses_is_in_the_release_or_behind_a_branch(release: str) -> None:
    offered = described(release)
    known = {
        *(("tensorrt", name) for name in (*offered["enums"], *offered["classes"])),
        *(("tensorrt", name) for name in offered["functions"]),
        ("tensorrt", "__version__"),
        *((kind, name) for kind, names in offered["classes"].items() for name in names),
        *((kind, name) for kind, names in offered["enums"].items() for name in names),
    }
    wanted = {
        one for one in names_in_the_source() if has(release, SOME_RELEASES.get(one, "since 8.5"))
    }
    # ILogger's severities are members of a class inside it; the hook's own subclass has them too.
    lost = {one for one in wanted - known if one[0] not in ("Severity", "ILogger")}
    assert lost == set()
    absent = {one for one, rule in SOME_RELEASES.items() if not has(release, rule)}
    assert absent & known == set(), "a name that is there needs no branch"


#: Of RELEASES, those with bf16 and fp8.
WITH_BF16 = WITH_FP8 = RELEASES[1:]


def precisions_of(release: str) -> tuple[str, ...]:
    """Return the precisions that a release has."""
    common = ("fp32", "tf32", "fp16", "int8")
    return (*common, "bf16", "fp8") if release in WITH_BF16 else common


@pytest.mark.parametrize(
    ("release", "precision"), [(one, each) for one in RELEASES for each in precisions_of(one)]
)
def test_a_release_accepts_every_call_of_a_build_a_load_and_a_batch(
    release: str, precision: str
) -> None:
    document = ran(release, precision)
    assert "failure" not in document, document
    assert document["version"] == release
    effective = document["effective"]
    assert effective["precision"] == precision
    assert effective["typing"] == ("strong" if release.startswith(STRONG) else "weak")
    assert effective["activation_bytes"] == 1 << 20
    assert document["cached"] is True


@pytest.mark.parametrize("release", WITH_BF16)
def test_a_tensor_of_bfloat16_passes_as_its_bits(release: str) -> None:
    """nptype raises a TypeError for it."""
    document = ran(release, "bf16", "BF16")
    assert "failure" not in document, document
    assert document["effective"]["io_dtypes"] == {"input": "bfloat16", "logits": "bfloat16"}
    # 1 + 2**-8 lies between two numbers of bfloat16: the even one is taken.
    assert document["staged"] == [0x3F80, 0x3F82, 0xC040, 0x7F80]
    assert document["outputs"] == [1.0, 1.015625, -3.0, float("inf")]


@pytest.mark.parametrize("release", WITH_BF16)
def test_a_tensor_whose_type_numpy_lacks_is_named(release: str) -> None:
    """nptype raises a TypeError for fp8."""
    kind, message = ran(release, "fp32", "FP8")["failure"]
    assert (kind, message) == (
        "contract",
        "the engine's tensor input has the type FP8, which numpy lacks",
    )


@pytest.mark.parametrize(("precision", "since"), [("bf16", 9), ("fp8", 10)])
def test_a_release_without_a_precision_is_refused(precision: str, since: int) -> None:
    kind, message = ran("8.6.1", precision)["failure"]
    text = f"TensorRT 8.6.1 has no {precision}, which came with release {since}"
    assert (kind, message) == ("image", text)


@pytest.mark.parametrize("release", WITH_FP8)
def test_fp8_is_a_flag_until_10_and_what_the_graph_says_since(release: str) -> None:
    effective = ran(release, "fp8")["effective"]
    assert ("FP8" in effective["flags"]) is not release.startswith(STRONG)
    assert described(release)["enums"]["DataType"]["FP8"] == 6


@pytest.mark.parametrize("release", RELEASES)
def test_the_run_comes_to_every_name_of_the_source(release: str) -> None:
    """A name that neither this run nor the list above knows would be used without having been checked."""
    runs = [ran(release, one)["used"] for one in precisions_of(release)]
    used = {(kind, name) for one in runs for kind, name in one}
    rules = {**SOME_RELEASES, **USED_ONLY}
    wanted = {one for one in names_in_the_source() if has(release, rules.get(one, "since 8.5"))}
    ours = {one for one in wanted if one[0] not in ("Severity", "ILogger")}
    assert ours - UNREACHED - used == set()
    in_source = {name for _, name in names_in_the_source()}
    assert {name for _, name in used} - in_source <= LISTED


@pytest.mark.parametrize(("imitated", "release"), IMITATED.items())
def test_what_the_stand_in_offers_is_in_the_genuine_release(imitated: str, release: str) -> None:
    real = described(release)
    standin = probe(
        "describe_module.py",
        "tensorrt",
        path=[STANDINS / "core", STANDINS / "nvidia" / "python"],
        ASSAY_STANDIN_TENSORRT=imitated,
    )
    problems = [
        f"{kind}.{member} = {value}, genuine {real['enums'].get(kind, {}).get(member)}"
        for kind, members in standin["enums"].items()
        for member, value in members.items()
        if real["enums"].get(kind, {}).get(member) != value
    ]
    for kind, attributes in standin["classes"].items():
        theirs = real["classes"].get(kind)
        if theirs is None:
            problems.append(f"{kind} is no class of the genuine release")
            continue
        names = {} if kind in AS_BYTES else attributes
        problems += [f"{kind}.{name} is not genuine" for name in names if name not in theirs]
        problems += [
            f"{kind}.{name}({', '.join(overloads[0])}), genuine {theirs[name]}"
            for name, overloads in names.items()
            if overloads and theirs.get(name) and not begins(overloads[0], theirs[name])
        ]
    everything = {*real["functions"], *real["classes"]}
    problems += [
        f"{name} is not genuine" for name in standin["functions"] if name not in everything
    ]
    assert problems == []


def begins(parameters: list[str], overloads: list[list[str]]) -> bool:
    """Tell whether some overload begins with these parameters; what follows has defaults."""
    return any(one[: len(parameters)] == parameters for one in overloads)


CUDA = ("12.9", "13.5")


def cuda_names() -> set[str]:
    """Return the names of CUDA's runtime that the hook uses."""
    files = [SHARED / name for name in ("cuda.py", "slot.py", "engine.py")]
    nodes = (n for file in files for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and n.attr.startswith("cuda")}


@pytest.mark.parametrize("release", CUDA)
def test_cudas_runtime_has_every_name_with_as_many_parameters_as_the_stand_in(release: str) -> None:
    folder, reason = bindings.installed(f"cuda-{release}")
    if folder is None:
        pytest.skip(reason)
    real = probe("describe_module.py", "cuda.bindings.runtime", path=[folder])
    standin = probe(
        "describe_module.py",
        "cuda.bindings.runtime",
        path=[STANDINS / "core", STANDINS / "nvidia" / "python"],
    )
    names = cuda_names() - {"cuda"}
    assert len(names) > 15
    members = {member for members in real["enums"].values() for member in members}
    offered = {*real["functions"], *real["enums"], *real["classes"], *members, *real["values"]}
    assert names - offered == set()
    for name in sorted(names & set(standin["functions"])):
        ours, theirs = standin["functions"][name][0], real["functions"][name]
        assert any(len(ours) == len(one) for one in theirs), (name, ours, theirs)
