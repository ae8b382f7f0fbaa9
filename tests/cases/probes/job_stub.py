"""The guest's package ``case`` and a job as case.toml describes it, for probes in one process a case."""

import pathlib
import sys
import tomllib
import types

from case_module import CASES

REFERENCE = CASES.parent / "vendor_hooks" / "reference"


def enter(case):
    """Make ``case`` and ``hook`` importable as in a job folder; gives case.toml."""
    for name, folder in (("case", CASES / case), ("hook", REFERENCE)):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    return tomllib.loads((CASES / case / "case.toml").read_text(encoding="utf-8"))


def job(manifest, folder, **changes):
    """What a task reads of its job; ``changes`` replace attributes, ``options`` adds to the case's."""
    folder = pathlib.Path(folder)
    defaults = {
        name: option["default"]
        for name, option in manifest.get("options", {}).items()
        if "default" in option
    }
    options = {**manifest.get("constants", {}), **defaults, **changes.pop("options", {})}
    found = {
        "case": manifest["name"],
        "case_options": options,
        "preprocess": manifest["preprocess"]["default"],
        "data_dir": folder / "data",
        "model_dir": folder / "model",
        "out_dir": folder / "out",
        "weights_dir": folder / "weights",
        "path": lambda name: folder / name,
        "stage": "infer",
        "weights": "synthetic",
        "threads": 1,
        "seed": 0,
        **changes,
    }
    return types.SimpleNamespace(**found)
