"""The case's own torch module from the job's weights, and the arithmetic that its dtypes amount to."""

#: Names of precisions → torch's dtype of parameters and activations. fp32 and tf32 differ in a switch.
DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def build(job):
    """(module on the host in fp32, the attention that it got).

    Fused attention where this stack has it: old releases of torch or transformers refuse it.
    """
    from case import model

    wanted = job.engine_options.get("attention", "sdpa")
    try:
        return model.build(attention=wanted, **weights(job)), wanted
    except (ImportError, ValueError):
        if wanted == "eager":
            raise
        return model.build(attention="eager", **weights(job)), "eager"


def weights(job):
    """Where the weights are, as model.build takes it: those of the export, if it left a folder."""
    exported = job.model_dir / "torch"
    if (exported / "config.json").is_file():
        folder, weights_format, synthetic = exported, "huggingface", False
    else:
        folder, weights_format = job.weights_dir, job.weights_format
        synthetic = job.weights == "synthetic"
    return {
        "weights_dir": str(folder),
        "weights_format": weights_format,
        "synthetic": synthetic,
        "seed": job.seed,
    }


def parameter_dtypes(module):
    """Names of the dtypes of all parameters: ["float16"]."""
    return sorted({str(p.dtype).replace("torch.", "") for p in module.parameters()})


def arithmetic(dtypes, tf32):
    """What products of these dtypes run in, where TF32 is or is not allowed."""
    if dtypes == ["float16"]:
        return "fp16"
    if dtypes == ["bfloat16"]:
        return "bf16"
    return "tf32" if tf32 else "fp32"
