"""Misbehaviour on demand: ASSAY_STANDIN_FAULT=[where:]what[,…]."""

import os
import resource
import signal
import time

PLACES = ("compile", "load", "infer", "monitor")
USUAL_PLACE = {
    "hang": "infer",
    "crash": "infer",
    "killed": "compile",
    "oom": "load",
    "fail": "compile",
    "warn": "compile",
    "nan": "infer",
    "drift": "infer",
    "garble": "monitor",
    "part": "compile",
    "nothing": "compile",
    "ignore": "compile",
    "cached": "infer",
}
_calls = {"infer": 0}


def asked(where):
    """Return the set of faults asked for at ``where``."""
    found = set()
    for word in filter(None, os.environ.get("ASSAY_STANDIN_FAULT", "").split(",")):
        place, _, what = word.strip().rpartition(":")
        if what not in USUAL_PLACE or place not in ("",) + PLACES:
            raise SystemExit(
                "ASSAY_STANDIN_FAULT={!r}: {} at one of {} is known".format(
                    word, ", ".join(sorted(USUAL_PLACE)), ", ".join(PLACES)
                )
            )
        if (place or USUAL_PLACE[what]) == where:
            found.add(what)
    return found


def strike(where):
    """Hang or die, if that is asked for at ``where``; return the other faults asked for there."""
    faults = asked(where)
    if "hang" in faults:
        while True:
            time.sleep(60)
    if "crash" in faults:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()
    if "killed" in faults:
        os.kill(os.getpid(), signal.SIGKILL)
    return faults


def spoil(arrays):
    """Return outputs as the faults at ``infer`` leave them."""
    faults = asked("infer")
    _calls["infer"] += 1
    if "nan" in faults:
        return [_nan(array) for array in arrays]
    if "drift" in faults:
        # Reversed along the last axis, the more the longer it runs: the top class moves too.
        share = min(1.0, 0.02 * _calls["infer"])
        return [_lean(array, share) for array in arrays]
    return arrays


def _nan(array):
    if array.dtype.kind != "f":
        return array
    spoiled = array.copy()
    spoiled.reshape(-1)[:: max(1, array.size // 7)] = float("nan")
    return spoiled


def _lean(array, share):
    if array.dtype.kind != "f":
        return array
    return ((1 - share) * array + share * array[..., ::-1]).astype(array.dtype)
