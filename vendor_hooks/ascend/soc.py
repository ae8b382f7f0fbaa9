"""Which Ascend chip this is, by the name that atc wants: npu-smi says 310P3, atc Ascend310P3."""

import re
from typing import NamedTuple, Sequence

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


class Choice(NamedTuple):
    """A chip to compile for, as this stack's atc spells it, and who told: npu-smi, pyACL or CHIP."""

    soc_version: str
    told_by: str
    warnings: Sequence = ()


def found(job):
    """The soc_version of the device that npu-smi shows, or None."""
    try:
        ran = program.run(["npu-smi", "info"], job.vendor)
    except StageFailure:
        return None
    names = names_of(ran.text)
    # A container sees only its own device; outside of one all are listed, of the same kind.
    return None if ran.returncode or not names else PREFIX + names[0]


def choose(job, opened=None):
    """The device's own chip, else the one that CHIP stands for.

    ``opened`` is what pyACL calls the device, where it is open: a container may lack npu-smi.
    """
    asked = job.chip_options["soc_version"]
    device, told_by = found(job), "npu-smi"
    if device is None:
        device, told_by = opened, "pyACL"
    if device is None:
        # Compiling needs no device: the chip that was asked for will do.
        return Choice(_spelled(asked, job), "CHIP")
    if device in job.chip_options.get("same_as", [asked]) or device == asked:
        return Choice(_spelled(device, job), told_by)
    message = "CHIP={} was assumed ({}), the device is {}: compiled for that".format(
        job.chip, asked, device
    )
    remedy = "name the chip, so that its peaks count: CHIP={}".format(_chip_of(device))
    return Choice(_spelled(device, job), told_by, [("effective_differs", message, remedy)])


def _spelled(soc_version, job):
    """As this stack's atc spells it: CANN 5.1.RC1 knows 310P3 as 710."""
    renamed = job.engine_options.get("soc_names", {}).get(job.stack, {})
    return renamed.get(soc_version, soc_version)


def _chip_of(soc_version):
    is_310p = soc_version.startswith((PREFIX + "310P", PREFIX + "710"))
    return "310P" if is_310p else soc_version[len(PREFIX) :]
