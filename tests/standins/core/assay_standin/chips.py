"""The chips that a stand-in can pretend to be, as the vendors' own tools print them."""

from typing import NamedTuple

from assay_standin import settings


class Chip(NamedTuple):
    """One chip: name printed, memory in MiB, watts in use, compute capability or soc name."""

    name: str
    memory_mib: int
    power_w: float
    kind: str


NVIDIA = {
    "A100-SXM4-40GB": Chip("NVIDIA A100-SXM4-40GB", 40960, 391.52, "8.0"),
    "T4": Chip("Tesla T4", 15360, 68.31, "7.5"),
    "H100": Chip("NVIDIA H100 80GB HBM3", 81559, 690.1, "9.0"),
    "H200": Chip("NVIDIA H200", 143771, 688.4, "9.0"),
    "B200": Chip("NVIDIA B200", 183359, 961.2, "10.0"),
    "L40S": Chip("NVIDIA L40S", 46068, 341.7, "8.9"),
    "L4": Chip("NVIDIA L4", 23034, 71.6, "8.9"),
}
ASCEND = {
    "310": Chip("310", 8192, 12.8, "Ascend310"),
    "310P3": Chip("310P3", 21534, 65.8, "Ascend310P3"),
    "910B4": Chip("910B4", 32768, 89.9, "Ascend910B4"),
}
KUNLUNXIN = {"R200": Chip("R200", 32768, 112.0, "KUNLUN2")}
AMD = {
    "MI300X": Chip("AMD Instinct MI300X", 196592, 612.0, "gfx942"),
    "MI325X": Chip("AMD Instinct MI325X", 262128, 731.0, "gfx942"),
}
METAX = {"C500": Chip("MetaX C500", 65536, 311.0, "C500")}
ILUVATAR = {
    "MR-V100": Chip("Iluvatar MR-V100", 32768, 58.0, "7.1"),
    "BI-V150": Chip("Iluvatar BI-V150", 32768, 94.0, "7.1"),
    "MR-V50": Chip("Iluvatar MR-V50", 16384, 20.0, "7.1"),
}
VENDORS = {
    "amd": (AMD, "MI300X"),
    "nvidia": (NVIDIA, "A100-SXM4-40GB"),
    "ascend": (ASCEND, "310P3"),
    "kunlunxin": (KUNLUNXIN, "R200"),
    "metax": (METAX, "C500"),
    "iluvatar": (ILUVATAR, "MR-V100"),
}


#: Whose device CUDA's runtime is here; assay_standin.corex changes it.
CUDA_VENDOR = "nvidia"


def cuda_chip():
    """Return the chip behind CUDA's runtime that is pretended."""
    return chip(CUDA_VENDOR)


def chip(vendor):
    """Return the chip of this vendor that is pretended."""
    known, default = VENDORS[vendor]
    name = settings.value("chip", default)
    return known.get(name, known[default])
