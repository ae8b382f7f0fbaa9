"""Loads a case's model.py or task.py by its file; several cases may live in one process."""

import importlib.util
import pathlib

CASES = pathlib.Path(__file__).resolve().parents[3] / "cases"


def load(case, module="model"):
    """Give the module of a case."""
    path = CASES / case / (module + ".py")
    spec = importlib.util.spec_from_file_location(f"{case}_{module}", str(path))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
