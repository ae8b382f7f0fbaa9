"""What differs between the releases of TensorRT that this hook knows: 8.5 to 11."""

import re

from harness.errors import StageFailure

#: The v3 API (named tensors, execute_async_v3) came with 8.5.
OLDEST = (8, 5)
#: A major release removes what it deprecated before: a newer one may read a precision differently.
NEWEST_MAJOR = 11
#: Every network is strongly typed: there are no precision flags, and each layer computes in the graph's types.
STRONGLY_TYPED_SINCE = (11,)
#: Precision → (release that it came with, oldest compute capability, its architecture, what to use in its place).
#: The builder's flag BF16 came with 9 (the bindings of 8.6 lack it, those of 10 have it). The flag FP8 is in 8.6, whose
#: documentation calls it not supported yet. Tensor cores have bfloat16 from Ampere on, fp8 from Ada on (CUDA's
#: programming guide, arithmetic by compute capability).
LATER = {
    "bf16": ((9,), (8, 0), "Ampere", "fp16"),
    "fp8": ((10,), (8, 9), "Ada", "int8"),
}


def numbers(text):
    """Return "10.16.1.11" as (10, 16, 1, 11); what follows the numbers is left out."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def is_strongly_typed(version):
    """Tell whether networks of a release such as (11, 1, 0) are always strongly typed."""
    return version >= STRONGLY_TYPED_SINCE


def require_precision(precision, text, device):
    """Raise StageFailure (image, host) where a release or a device has no such precision.

    ``device`` is (name, compute capability such as "8.0").
    """
    if precision not in LATER:
        return
    since, needed, architecture, other = LATER[precision]
    if numbers(text) < since:
        raise StageFailure(
            "image",
            "TensorRT {} has no {}, which came with release {}".format(text, precision, since[0]),
            "use STACK=cuda13-trt10.16 or STACK=cuda13-trt11, or PRECISION={}".format(other),
        )
    name, capability = device
    if numbers(capability) < needed:
        raise StageFailure(
            "host",
            "{} has compute capability {}, and {} needs {}.{} ({}) or newer".format(
                name, capability, precision, *needed, architecture
            ),
            "use PRECISION={}".format(other),
        )


def require_known(text, oldest=OLDEST):
    """Return the numbers of a release; raises StageFailure (image) for one that the hook does not know."""
    version = numbers(text)
    if version >= oldest and version[0] <= NEWEST_MAJOR:
        return version
    raise StageFailure(
        "image",
        "TensorRT {} is {} than this hook knows, which is {} to {}".format(
            text,
            "newer" if version and version[0] > NEWEST_MAJOR else "older",
            ".".join(str(number) for number in oldest),
            NEWEST_MAJOR,
        ),
        "use a STACK of vendor_hooks/nvidia/vendor.toml; for a newer release, extend "
        "vendor_hooks/nvidia/trt_release.py and run tests/vendor_hooks/nvidia/test_real_bindings.py",
    )
