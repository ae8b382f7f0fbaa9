"""The arithmetic of TensorRT engines, from the layer information of TensorRT's inspector.

The information has datatypes only if the engine was built with detailed profiling verbosity; by default it has
only names. Layers that Myelin compiled show the types of their interface, not those of the products inside.
"""

import collections
import json
import re

#: Layer types that do a model's arithmetic, and those that hide it.
COMPUTING = re.compile(r"conv|gemm|matrix|matmul|fullyconnected", re.IGNORECASE)
OPAQUE = re.compile(r"myelin|foreign", re.IGNORECASE)
#: Datatype as the inspector writes it → arithmetic.
DATATYPES = (
    (re.compile(r"\b(FP16|Half)\b"), "fp16"),
    (re.compile(r"\b(BF16|BFloat16)\b"), "bf16"),
    (re.compile(r"\b(FP8)\b"), "fp8"),
    (re.compile(r"\b(INT8|Int8)\b"), "int8"),
    (re.compile(r"\b(FP32|Float)\b"), "fp32"),
)
TF32 = re.compile(r"tf32", re.IGNORECASE)


def read_back(texts):
    """Return (arithmetic or None, arithmetic → number of computing layers, why it is None).

    ``texts`` has the JSON of each engine; None stands for an engine that gives none. The arithmetic is that
    of most computing layers.
    """
    counts = collections.Counter()
    for text in texts:
        layers = _layers(text)
        if not layers:
            return None, {}, "the engine has no layer information"
        for layer in layers:
            if not isinstance(layer, dict) or "LayerType" not in layer:
                return None, {}, "the layer information has names only, without datatypes"
            if OPAQUE.search(layer["LayerType"]):
                return None, {}, "layer {} hides what runs inside".format(layer.get("Name"))
            if COMPUTING.search(layer["LayerType"]):
                counts[_arithmetic(layer)] += 1
    if not counts or counts[None]:
        return None, {}, "no datatype is known for some of the layers that compute"
    return max(sorted(counts), key=lambda name: counts[name]), dict(counts), ""


def differs(who, requested, counts):
    """Return the warning that computing layers run in another arithmetic than the requested one."""
    counted = ", ".join("{} in {}".format(counts[name], name) for name in sorted(counts))
    return (
        "effective_differs",
        "{} was requested, but of the layers that compute, {}'s engine runs {}".format(
            requested, who, counted
        ),
        "compare it only with figures of the arithmetic that ran, or use another PRECISION or ENGINE",
    )


def _layers(text):
    try:
        return json.loads(text or "{}").get("Layers", [])
    except ValueError:
        return []


def _arithmetic(layer):
    # 11 splits the field: the format and the type stand apart.
    names = ("Format/Datatype", "Datatype", "DataType")
    ports = layer.get("Inputs", [])
    inputs = " ".join(str(one.get(name, "")) for one in ports for name in names)
    found = next((name for pattern, name in DATATYPES if pattern.search(inputs)), None)
    # TF32 is no datatype: only the name of the kernel shows it.
    return "tf32" if found == "fp32" and TF32.search(str(layer.get("TacticName", ""))) else found
