"""Which Ascend chip this is, under atc's name: npu-smi calls it 310P3 or 910B4, atc Ascend310P3 or Ascend910B4."""

import re
from typing import NamedTuple, Sequence

from harness.engines import vendor_tool
from harness.errors import StageFailure

PREFIX = "Ascend"
#: A chip's first line: | NPU  Name | Health | …
_CHIP = re.compile(
    r"^\|\s*(\d+)\s+([0-9A-Za-z][\w-]*)\s*\|\s*(OK|Warning|Alarm|Critical|UNKNOWN)\s*\|",
    re.MULTILINE,
)


def names_of(text):
    """Chip names in the order that npu-smi prints them, without the prefix."""
    return [name for _, name, _ in _CHIP.findall(text)]


class SocChoice(NamedTuple):
    """A chip to compile for, as this stack's atc spells it, and its source: npu-smi, pyACL or CHIP."""

    soc_version: str
    source: str
    warnings: Sequence = ()


def found(job):
    """The soc_version of the device that npu-smi shows, or None."""
    try:
        ran = vendor_tool.run(["npu-smi", "info"], job.vendor)
    except StageFailure:
        return None
    names = names_of(ran.text)
    if ran.returncode or not names:
        return None
    # A container sees only its own device; outside of one, all devices are listed, of the same kind. On Atlas A3
    # npu-smi prints Ascend910, which no release of atc knows: pyACL names that chip in full.
    return None if names[0].startswith(PREFIX) else PREFIX + names[0]


def choose(job, opened=None):
    """The chip of the device, else the one that CHIP names.

    ``opened`` is pyACL's name of the device, if it is open: a container may lack npu-smi.
    """
    asked = job.chip_options["soc_version"]
    device, source = found(job), "npu-smi"
    if device is None:
        device, source = opened, "pyACL"
    if device is None:
        # Compiling needs no device; the chip that was asked for is enough.
        return SocChoice(_spelled(asked, job), "CHIP")
    return SocChoice(_spelled(device, job), source, disagreement(job, device))


def disagreement(job, device):
    """The warning (code, message, remedy) of a device that is not the one CHIP names, in a list; else none."""
    asked = job.chip_options["soc_version"]
    if device in job.chip_options.get("same_as", [asked]) or device == asked:
        return []
    message = "CHIP={} was assumed ({}), but the device is {}, which is what ran".format(
        job.chip, asked, device
    )
    remedy = "name the device's chip, so that its peaks are used: CHIP={}".format(_chip_of(device))
    return [("effective_differs", message, remedy)]


def _spelled(soc_version, job):
    """The name in this stack's atc: CANN 5.1.RC1 calls the 310P3 710."""
    renamed = job.engine_options.get("soc_names", {}).get(job.stack, {})
    return renamed.get(soc_version, soc_version)


def _chip_of(soc_version):
    is_310p = soc_version.startswith((PREFIX + "310P", PREFIX + "710"))
    return "310P" if is_310p else soc_version[len(PREFIX) :]
