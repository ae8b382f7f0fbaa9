"""The case's own torch module, built from the job's weights, and the arithmetic of its dtypes."""

from typing import Any, Dict, List, Optional, Tuple

from harness.job import Job

#: Precision → torch dtype of parameters and activations; fp32 and tf32 differ only in a switch.
DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def build(job: Job) -> Tuple[Any, str]:
    """(module on the host in fp32, its attention, read back where the module states it).

    Attention is fused where the stack and the architecture support it; old releases of torch or
    transformers do not.
    """
    from case import model

    wanted = job.engine_options.get("attention", "sdpa")
    try:
        module = model.build(attention=wanted, **weights(job))
    except (ImportError, ValueError):
        if wanted == "eager":
            raise
        wanted = "eager"
        module = model.build(attention=wanted, **weights(job))
    config = getattr(getattr(module, "network", None), "config", None)
    return module, getattr(config, "_attn_implementation", None) or wanted


def weights(job: Job) -> Dict[str, Any]:
    """Arguments of model.build that name the weights: the exported folder where there is one."""
    exported = job.model_dir / "torch"
    weights_format: Optional[str]
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


def parameter_dtypes(module: Any) -> List[str]:
    """The dtypes of all parameters, by name, sorted: ["float16"]."""
    return sorted({str(p.dtype).replace("torch.", "") for p in module.parameters()})


def arithmetic(dtypes: List[str], tf32: bool) -> str:
    """The arithmetic of matrix products in these dtypes; ``tf32``: whether TF32 is allowed."""
    if dtypes == ["float16"]:
        return "fp16"
    if dtypes == ["bfloat16"]:
        return "bf16"
    return "tf32" if tf32 else "fp32"
