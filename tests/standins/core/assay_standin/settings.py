"""Which chip and which versions a stand-in imitates."""

import json
import os

DEFAULTS = {
    "tensorrt": "8.6.1",
    "ais_bench": "0.0.2",
    "cann": "5.1.RC2",
    "cuda": "12.1",
    "maca": "2.19.2.5",
    "layer_info": "names",
    "clock_rate": "1",
}


def value(name, default=None):
    """Return ``ASSAY_STANDIN_<NAME>``, else that of settings.json, else the default."""
    found = os.environ.get("ASSAY_STANDIN_" + name.upper())
    if found:
        return found
    return _file().get(name, DEFAULTS.get(name, default))


def _file():
    path = os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "settings.json"
    )
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def threads():
    """Return how many threads the arithmetic may use."""
    return int(value("threads") or len(os.sched_getaffinity(0)))
