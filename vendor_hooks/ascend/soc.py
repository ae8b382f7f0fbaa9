"""Which Ascend chip this is, by the name that atc wants: npu-smi says 310P3, atc Ascend310P3."""

import re

from harness import program
from harness.errors import StageFailure

PREFIX = "Ascend"
#: A chip's first line: | NPU  Name | Health | …
_CHIP = re.compile(
    r"^\|\s*(\d+)\s+([0-9A-Za-z]+)\s*\|\s*(OK|Warning|Alarm|Critical|UNKNOWN)\s*\|", re.MULTILINE
)


def names_of(text):
    """Chip names in the order that npu-smi prints them, without the prefix."""
    return [name for _, name, _ in _CHIP.findall(text)]


def found(job):
    """(soc_version of the device that npu-smi shows, or None; why there is none)."""
    try:
        ran = program.run(["npu-smi", "info"], job.vendor)
    except StageFailure as failure:
        return None, failure.message
    names = names_of(ran.text)
    if ran.returncode or not names:
        return None, "npu-smi info shows no chip: {}".format("; ".join(program.telling(ran.text)))
    # A container sees only its own device; outside of one all are listed, of the same kind.
    return PREFIX + names[0], ""


def choose(job):
    """(soc_version for atc, warnings): the device's own, else the one that CHIP stands for."""
    asked = job.chip_options["soc_version"]
    device, _ = found(job)
    if device is None:
        # Compiling needs no device: the chip that was asked for will do.
        return _spelled(asked, job), []
    if device in job.chip_options.get("same_as", [asked]) or device == asked:
        return _spelled(device, job), []
    message = "CHIP={} was assumed ({}), the device is {}: compiled for that".format(
        job.chip, asked, device
    )
    remedy = "name the chip, so that its peaks count: CHIP={}".format(_chip_of(device))
    return _spelled(device, job), [("effective_differs", message, remedy)]


def _spelled(soc_version, job):
    """As this stack's atc spells it: CANN 5.1.RC1 knows 310P3 as 710."""
    renamed = job.engine_options.get("soc_names", {}).get(job.stack, {})
    return renamed.get(soc_version, soc_version)


def _chip_of(soc_version):
    return "310P" if soc_version.startswith(PREFIX + "310P") else soc_version[len(PREFIX) :]
