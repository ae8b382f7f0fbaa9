"""Print how dlrm_kaggle compares with upstream's own computation, and what its synthetic weights depend on."""

import json
import pathlib
import tempfile
import types

import job_stub
import numpy as np
import onnx
import onnxruntime
import torch

MANIFEST = job_stub.enter("dlrm_kaggle")

from case import dataset, model, task  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from harness.job import TensorSpec  # noqa: E402
from hook import fidelity, macs  # noqa: E402

SAMPLES = 256
#: Rows of the tables in this probe; the true ones take 2 GB.
FEWER = tuple(min(rows, 200 + number) for number, rows in enumerate(model.ROWS))


def counted():
    """Sizes of the true model, counted on the meta device."""
    specs = [TensorSpec.read(spec) for spec in MANIFEST["model"]["inputs"]]
    with torch.device("meta"):
        network = model.skeleton()
        looked_up = network.emb_l
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "macs": macs.count(types.SimpleNamespace(inputs=specs, generation=None)),
        "lookups": {
            "parameters": sum(table.weight.numel() for table in looked_up),
            "elements": sum(table.embedding_dim for table in looked_up),
        },
    }


def upstream(state, dense, sparse):
    """The same network as facebookresearch/dlrm computes it: bags of one row, and pairs in the order of tril."""
    bottom, top = dense, None
    for number in (0, 2, 4, 6):
        bottom = torch.relu(_linear(state, "bot_l", number, bottom))
    offsets = torch.arange(len(dense))
    bags = [
        torch.nn.functional.embedding_bag(
            sparse[:, n], state[f"emb_l.{n}.weight"], offsets, mode="sum"
        )
        for n in range(sparse.shape[1])
    ]
    vectors = torch.cat([bottom, *bags], dim=1).view(len(dense), -1, bottom.shape[1])
    products = torch.bmm(vectors, torch.transpose(vectors, 1, 2))
    left, right = torch.tril_indices(vectors.shape[1], vectors.shape[1], offset=-1)
    top = torch.cat([bottom, products[:, left, right]], dim=1)
    for number in (0, 2):
        top = torch.relu(_linear(state, "top_l", number, top))
    return torch.sigmoid(_linear(state, "top_l", 4, top))


def _linear(state, part, number, inputs):
    name = f"{part}.{number}"
    return torch.nn.functional.linear(inputs, state[name + ".weight"], state[name + ".bias"])


def samples():
    """Inputs of generated samples, as the task prepares them."""
    job = job_stub.job(MANIFEST, ".")
    prepare = task.make_task(job).prepare
    items = list(dataset.synthetic(job, {"count": SAMPLES, "seed": 3}))
    arrays = [prepare(item.payload) for item in items]
    return tuple(
        torch.from_numpy(np.stack([one[name] for one in arrays])) for name in ("dense", "sparse")
    )


def cosines(network, dense, sparse):
    """Cosines with fp32 of an engine that ignores a part of its inputs, and of bf16."""
    with torch.inference_mode():
        true = network(dense, sparse)[0]
        outputs = {
            "dense": network(torch.zeros_like(dense), sparse)[0],
            "sparse": network(dense, torch.zeros_like(sparse))[0],
        }
        for number in range(sparse.shape[1]):
            one = sparse.clone()
            one[:, number] = 0
            outputs[f"table {number + 1}"] = network(dense, one)[0]
        rounded = model.build(None, None, True, 0).to(torch.bfloat16)
        outputs["bf16"] = rounded(dense.bfloat16(), sparse)[0].float()
    found = {
        name: fidelity.compare({"p": one.numpy()}, {"p": true.numpy()})[0]
        for name, one in outputs.items()
    }
    return {"cosines": found, "spread": float(true.std()), "mean": float(true.mean())}


def loaded(folder, network, dense, sparse):
    """How far a checkpoint of upstream's layout is from the network that it was made of, and what is refused."""
    true = network(dense, sparse)[0]
    state = network.state_dict()
    found = {}

    def differs(weights_format):
        again = model.build(str(folder), weights_format, False, 0)
        return float((again(dense, sparse)[0] - true).abs().max())

    torch.save({"epoch": 0, "state_dict": state, "train_loss": 0.5}, str(folder / "model.pth"))
    found["pth"] = differs("pth")
    model.save(network, folder)
    found["saved"] = differs("huggingface")
    wrong = dict(state, **{"emb_l.2.weight": torch.zeros(7, 16), "extra": torch.zeros(1)})
    del wrong["top_l.4.bias"]
    torch.save(wrong, str(folder / "model.pth"))
    try:
        model.build(str(folder), "pth", False, 0)
    except StageFailure as failure:
        found["refused"] = failure.message
    return found


def older(network, dense, sparse, folder):
    """Opset → [largest difference of its graph to torch at 1 and 256 samples, its operators]."""
    found = {}
    for opset in (11, 13):
        path = str(folder / "model.onnx")
        axes = {name: {0: "batch"} for name in ("dense", "sparse", "probability")}
        torch.onnx.export(
            network,
            (dense[:2], sparse[:2]),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["dense", "sparse"],
            output_names=["probability"],
            dynamic_axes=axes,
        )
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        differences = [0.0]
        for count in (1, len(dense)):
            fed = {"dense": dense[:count].numpy(), "sparse": sparse[:count].numpy()}
            (made,) = session.run(None, fed)
            true = network(dense[:count], sparse[:count])[0].numpy()
            differences.append(float(np.abs(made - true).max()))
        operators = sorted({node.op_type for node in onnx.load(path).graph.node})
        found[opset] = [max(differences), operators]
    return found


sizes = counted()
model.ROWS = dataset.ROWS = FEWER
network = model.build(None, None, True, 0)
inputs = samples()
with tempfile.TemporaryDirectory() as name, torch.inference_mode():
    print(  # noqa: T201
        json.dumps(
            {
                "counted": sizes,
                "names": sorted(network.state_dict()),
                "upstream": float(
                    (network(*inputs)[0] - upstream(network.state_dict(), *inputs)).abs().max()
                ),
                "same_seed": bool(
                    torch.equal(model.build(None, None, True, 0)(*inputs)[0], network(*inputs)[0])
                ),
                "other_seed": bool(
                    torch.allclose(
                        model.build(None, None, True, 1)(*inputs)[0], network(*inputs)[0]
                    )
                ),
                "inputs": [[str(one.dtype), list(one.shape)] for one in inputs],
                **cosines(network, *inputs),
                "loaded": loaded(pathlib.Path(name), network, *inputs),
                "older": older(network, *inputs, pathlib.Path(name)),
            }
        )
    )
