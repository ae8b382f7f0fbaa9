"""The stand-in of IxRT: TensorRT's API under TensorRT's name, with IxRT's version, flags and chips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.standins_tests import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.standins_tests.conftest import Import


@pytest.fixture
def ixrt(standin: Import) -> Any:
    return standin("iluvatar", "tensorrt")


def test_both_names_are_one_module_of_ixrts_version(standin: Import, ixrt: Any) -> None:
    assert ixrt.__assay_standin__
    assert ixrt.__version__.startswith("1.1")
    assert standin("iluvatar", "ixrt").Builder is ixrt.Builder


def test_the_device_is_iluvatars(standin: Import, ixrt: Any) -> None:
    runtime = standin("iluvatar", "cuda.cudart")
    error, properties = runtime.cudaGetDeviceProperties(0)
    assert error == runtime.cudaError_t.cudaSuccess
    assert properties.name.rstrip(b"\0") == b"Iluvatar MR-V100"


def test_flags_are_those_that_ixrts_documents_name(ixrt: Any) -> None:
    names = set(ixrt.BuilderFlag.__members__)
    assert {"FP16", "BF16", "INT8"} <= names
    assert "TF32" not in names


def test_a_graph_becomes_an_engine(ixrt: Any, tmp_path: Path) -> None:
    log = ixrt.Logger()
    builder = ixrt.Builder(log)
    explicit = 1 << int(ixrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    network = builder.create_network(explicit)
    assert ixrt.OnnxParser(network, log).parse_from_file(str(tiny_model.write(tmp_path, batch=4)))
    config = builder.create_builder_config()
    config.set_flag(ixrt.BuilderFlag.FP16)
    engine = ixrt.Runtime(log).deserialize_cuda_engine(
        builder.build_serialized_network(network, config)
    )
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    assert names == ["image", "logits"]
