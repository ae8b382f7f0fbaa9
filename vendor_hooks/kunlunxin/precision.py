"""XTCL's precision comes from the environment and one compile option, and is read back from both."""

import os

from harness.errors import StageFailure

#: XTCL 2.0 reads them when it compiles; vendor.toml has the values for each precision.
SWITCHES = ("XTCL_USE_NEW_ALTER_PASS", "XTCL_USE_FP16", "XTCL_QUANTIZE_WEIGHT")


def switched_on(name):
    """Whether the switch is set to 1 in this process."""
    return os.environ.get(name, "0") == "1"


def arithmetic():
    """The arithmetic of XTCL in this environment; it does not depend on the output type of layers."""
    return "fp16" if switched_on("XTCL_USE_FP16") else "fp32"


def out_dtype(option):
    """The output type of each layer; ``option`` is the precision's out_dtype (vendor.toml), or None."""
    lowered = option == "float16" and switched_on("XTCL_USE_NEW_ALTER_PASS")
    return "float16" if lowered else "float32"


def read_back(job):
    """The effective settings; StageFailure (contract) if they differ from the job's.

    A hook that was called without vendor.toml's environment would compile for another precision.
    """
    options = job.precision_options
    asked = (
        job.arithmetic,
        options.get("out_dtype", "float32"),
        bool(options.get("quantize_weight", False)),
    )
    found = arithmetic(), out_dtype(options.get("out_dtype")), switched_on("XTCL_QUANTIZE_WEIGHT")
    if found != asked:
        raise StageFailure(
            "contract",
            "{} means {}, but with {} XTCL would compile for {}".format(
                job.precision, _described(*asked), _in_words(), _described(*found)
            ),
            "call the hook with the variables of [engines.{}.precisions.{}] in "
            "vendor_hooks/kunlunxin/vendor.toml, as `make run` does".format(
                job.engine, job.precision
            ),
        )
    return {
        "precision": job.precision,
        "arithmetic": found[0],
        "arithmetic_unread": "XTCL states no precision of a compiled program, only its variables are known",
        "out_dtype": found[1],
        "environment": environment(),
    }


def environment():
    """All variables of XTCL in this process."""
    names = [name for name in os.environ if name.startswith(("XTCL_", "XPUSIM_", "XPU_PADDLE_"))]
    return {name: os.environ[name] for name in sorted(names)}


def _described(computed, out, quantized):
    return "{} arithmetic, {} outputs of each layer, and {} weights".format(
        computed, out, "quantized" if quantized else "unchanged"
    )


def _in_words():
    return ", ".join("{}={}".format(name, os.environ.get(name, "(unset)")) for name in SWITCHES)
