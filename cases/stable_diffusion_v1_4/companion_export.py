"""Text encoder and VAE decoder → ONNX, each compared with torch on one item. Reference image only.

The VAE takes latents of any size and is compared on small ones: a whole picture would take half a minute.
"""

import shutil

import numpy as np
from case.companions import NAMES, OnnxCompanion
from case.task import LATENT
from case.tokens import LENGTH
from harness.errors import StageFailure
from hook import fidelity, onnx_export

OPSET = 18
COSINE_MIN = 0.99999
SMALL_SIDE = 12


def export(name, module, folder, threads):
    """Write ``folder``/<name>/<file>.onnx with dynamic sizes; return {"cosine_min", "max_abs"} to torch.

    Raises StageFailure (export) if ONNX Runtime and torch disagree.
    """
    import onnx
    import torch

    path = folder / name / NAMES[name]
    program = torch.onnx.export(
        module,
        # A size of 1 would be treated as a constant.
        (torch.from_numpy(_example(name, 2)),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["token_ids" if name == "text_encoder" else "latents"],
        output_names=["states" if name == "text_encoder" else "pictures"],
        dynamic_shapes=(_free_sizes(name),),
        # ONNX Runtime optimises the graph when loading it; the exporter's rewriter is slow.
        optimize=False,
        verbose=False,
    )
    onnx_export.fold(program.model)
    # The exporter's version is newer than this opset needs, and than ONNX Runtime 1.14 can read.
    program.model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid("", OPSET)]
    )
    # Writing half a gigabyte within a protobuf takes ten times as long as beside it.
    program.save(str(path), external_data=True)
    del program
    return _agreement(name, module, path, threads)


def _agreement(name, module, path, threads):
    import torch

    example = _example(name, 1, side=SMALL_SIDE)
    with torch.inference_mode():
        expected = module(torch.from_numpy(example))[0].numpy()
    found = OnnxCompanion(path, threads)(example)
    cosine, difference = fidelity.compare({name: found}, {name: expected})
    if not cosine >= COSINE_MIN:
        shutil.rmtree(str(path.parent))
        message = (
            "the exported {} disagrees with torch: cosine {:.7f}, expected at least {}".format(
                name, cosine, COSINE_MIN
            )
        )
        raise StageFailure(
            "export", message, "this is a bug in the case or in the exporter; report it"
        )
    return {"cosine_min": cosine, "max_abs": difference}


def _free_sizes(name):
    from torch.export import Dim

    axes = {0: Dim("batch")}
    if name == "vae":
        axes.update({2: Dim("height", min=4, max=512), 3: Dim("width", min=4, max=512)})
    return axes


def _example(name, count, side=LATENT[-1]):
    random = np.random.RandomState(0)
    if name == "text_encoder":
        return random.randint(0, 49000, (count, LENGTH)).astype(np.int64)
    shape = (count, LATENT[0], side, side)
    return random.standard_normal(shape).astype(np.float32)
