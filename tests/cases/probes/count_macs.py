"""Print parameters and multiply-accumulates of classification cases, as the export stage counts them."""

import json
import pathlib
import sys
import tomllib
import types

import torch
from case_module import CASES, load

sys.path.insert(0, str(CASES.parent / "vendor_hooks" / "reference"))
sys.modules["hook"] = types.ModuleType("hook")
sys.modules["hook"].__path__ = [str(CASES.parent / "vendor_hooks" / "reference")]

from harness.job import TensorSpec  # noqa: E402
from hook import macs, module  # noqa: E402


def count(case):
    """Count one case by its own case.toml."""
    text = pathlib.Path(CASES / case / "case.toml").read_text(encoding="utf-8")
    inputs = tomllib.loads(text)["model"]["inputs"]
    job = types.SimpleNamespace(inputs=[TensorSpec.read(spec) for spec in inputs], generation=None)
    loaded = load(case)
    module.case_model = lambda: loaded
    # Exporters ask for eager or sdpa, engines for whatever the library chooses.
    with torch.device("meta"):
        networks = [loaded.skeleton(attention) for attention in ("eager", "sdpa", None)]
    parameters = {sum(p.numel() for p in network.parameters()) for network in networks}
    (one,) = parameters
    return {"parameters": one, "macs": macs.count(job)}


print(json.dumps({case: count(case) for case in sys.argv[1:]}))  # noqa: T201
