"""Print how SAM's, Stable Diffusion's and DETR's graphs of older opsets differ from torch: small models."""

import importlib
import json
import pathlib
import sys
import tempfile

import diffusers
import job_stub
import numpy as np
import onnx
import onnxruntime
import onnxsim
import torch
import transformers

SIDE = 128
job_stub.enter("sam_h")
from hook import older_opsets  # noqa: E402


def case_model(name):
    """The case's model.py as the package ``case`` has it."""
    job_stub.enter(name)
    sys.modules.pop("case.model", None)
    return importlib.import_module("case.model")


def sam():
    """SAM with windows that do not fit its grid, and global layers; (module, input names, make)."""
    vision = transformers.SamVisionConfig(
        hidden_size=32, output_channels=32, num_hidden_layers=4, num_attention_heads=4,
        image_size=SIDE, patch_size=16, window_size=3, global_attn_indexes=[1, 3], mlp_dim=64,
        num_pos_feats=16, initializer_range=0.02,
    )  # fmt: skip
    prompt = transformers.SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=16)
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=32, mlp_dim=64, num_attention_heads=4, iou_head_hidden_dim=32
    )
    config = transformers.SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=prompt.to_dict(),
        mask_decoder_config=decoder.to_dict(),
    )
    config._attn_implementation = config.vision_config._attn_implementation = "eager"
    network = transformers.SamModel(config).eval()
    embedding = network.shared_image_embedding
    with torch.no_grad():
        embedding.positional_embedding.div_(embedding.scale)

    def inputs(rows):
        return torch.randn(rows, 3, SIDE, SIDE), torch.rand(rows, 1, 1, 2) * SIDE

    return case_model("sam_h")._module(network), ("pixel_values", "points"), inputs


def unet():
    """A UNet with cross-attention on its way down and up."""
    network = diffusers.UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 64),
        layers_per_block=1, cross_attention_dim=24, attention_head_dim=4, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()  # fmt: skip

    def inputs(rows):
        step = torch.tensor(501, dtype=torch.int32)
        return torch.randn(2 * rows, 4, 16, 16), step, torch.randn(2 * rows, 77, 24)

    module = case_model("stable_diffusion_v1_4")._unet_module(network, "eager")
    return module, ("sample", "timestep", "encoder_hidden_states"), inputs


def detr():
    """DETR with pictures that are padded to the right or at the bottom."""
    backbone = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1],
        out_features=["stage4"],
    )  # fmt: skip
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, backbone_config=backbone, num_labels=7,
        num_queries=10, d_model=32, encoder_layers=2, encoder_ffn_dim=64, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, decoder_ffn_dim=64,
    )  # fmt: skip
    config._attn_implementation = "eager"
    network = transformers.DetrForObjectDetection(config).eval()

    def inputs(rows):
        mask = torch.ones(rows, 2, 3, dtype=torch.int64)
        mask[0, :, 2:] = 0
        mask[1:, 1:] = 0
        return torch.randn(rows, 3, 64, 96), mask

    return case_model("detr_resnet_50")._module(network), ("pixel_values", "pixel_mask"), inputs


def difference(module, names, make, opset, folder):
    """Largest difference of the exported graph to torch at batch 1 and 3, relative to torch's largest."""
    path = str(pathlib.Path(folder) / "model.onnx")
    axes = {name: {0: "batch"} for name in names if name != "timestep"}
    with older_opsets.spelled_out(opset):
        torch.onnx.export(
            module, make(1), path, dynamo=False, opset_version=opset,
            input_names=list(names), dynamic_axes=axes,
        )  # fmt: skip
    graph, _ = onnxsim.simplify(path)
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    worst = 0.0
    for rows in (1, 3):
        given = make(rows)
        with torch.inference_mode():
            expected = module(*given)
        feed = {name: array.numpy() for name, array in zip(names, given, strict=True)}
        for found, tensor in zip(session.run(None, feed), expected, strict=True):
            reference = tensor.numpy()
            worst = max(worst, float(np.abs(found - reference).max() / np.abs(reference).max()))
    return worst


def largest_constant(module, names, make, folder):
    """Bytes of the largest constant, weights aside, in the graph as the exporter leaves it for batch 1."""
    path = str(pathlib.Path(folder) / "static.onnx")
    with older_opsets.spelled_out(11):
        torch.onnx.export(
            module, make(1), path, dynamo=False, opset_version=11, input_names=list(names)
        )
    nodes = onnx.load(path).graph.node
    constants = [node.attribute[0].t for node in nodes if node.op_type == "Constant"]
    return max(len(tensor.raw_data) for tensor in constants)


def operators(module, names, make, folder):
    """The operators of the simplified graph of opset 11."""
    path = str(pathlib.Path(folder) / "operators.onnx")
    torch.onnx.export(
        module, make(2), path, dynamo=False, opset_version=11, input_names=list(names),
        dynamic_axes={name: {0: "batch"} for name in names},
    )  # fmt: skip
    return sorted({node.op_type for node in onnxsim.simplify(path)[0].graph.node})


def from_the_librarys_attention(module, names, make):
    """Largest difference of the module's output when the library chooses the attention."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    given = make(2)
    with torch.inference_mode():
        ours = module(*given)[0]
        module.network.set_attn_processor(AttnProcessor2_0())
        return float((module(*given)[0] - ours).abs().max())


def main():
    """One document: model → opset → difference, and whether torch is as it was afterwards."""
    torch.manual_seed(0)
    before = (torch.einsum, torch.repeat_interleave, torch.Tensor.repeat_interleave)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, made in (("sam", sam()), ("unet", unet()), ("detr", detr())):
            found[name] = {opset: difference(*made, opset, folder) for opset in (11, 13, 16)}
        constant = largest_constant(*unet(), folder)
        detrs = operators(*detr(), folder)
    after = (torch.einsum, torch.repeat_interleave, torch.Tensor.repeat_interleave)
    facts = {"differences": found, "restored": before == after, "unet_constant_bytes": constant}
    facts["detr_operators"] = detrs
    facts["unet_attention"] = from_the_librarys_attention(*unet())
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
