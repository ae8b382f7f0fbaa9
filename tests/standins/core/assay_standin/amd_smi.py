"""amd-smi: what it prints of one chip as JSON, in the layout of ROCm 7."""

import json
import sys

from assay_standin import chips, faults, settings

_GARBLED = "<<< the driver is being updated, come back later >>>"
_BDF = "0000:05:00.0"


def amd_smi(argv):
    """``amd-smi list -e``, ``static`` and ``metric``, each with ``--json``."""
    if "garble" in faults.strike("monitor"):
        print(_GARBLED)
        return 0
    chip = chips.chip("amd")
    tables = {"list": _listed, "static": _static, "metric": _metric}
    if not argv or argv[0] not in tables:
        print("Command '{}' is invalid. Run '--help' for more info.".format(
            argv[0] if argv else ""), file=sys.stderr)  # fmt: skip
        return 1
    known = {"-e", "--json", "--asic", "--bus", "--driver", "--vram"}
    wrong = [word for word in argv[1:] if word not in known]
    if wrong or "--json" not in argv:
        print("Parameter '{}' is invalid.".format(*(wrong or ["(no --json)"])), file=sys.stderr)
        return 1
    print(json.dumps(tables[argv[0]](chip, argv), indent=4))
    return 0


def _listed(chip, argv):
    found = {
        "gpu": 0,
        "bdf": _BDF,
        "uuid": "a5ff74a1-0000-1000-8000-00000000a55a",
        "kfd_id": 51140,
        "node_id": 2,
        "partition_id": 0,
    }
    if "-e" in argv:
        found.update(card="card1", render="renderD128", hsa_id=2, hip_id=0,
                     hip_uuid="GPU-000000000000a55a")  # fmt: skip
    return [found]


def _static(chip, argv):
    return {
        "gpu_data": [
            {
                "gpu": 0,
                "asic": {
                    "market_name": chip.name,
                    "vendor_id": "0x1002",
                    "target_graphics_version": chip.kind,
                },
                "bus": {"bdf": _BDF},
                "driver": {
                    "name": "amdgpu",
                    "version": settings.value("driver", "6.18.3"),
                },
            }
        ]
    }


def _value(value, unit):
    return {"value": value, "unit": unit}


def _metric(chip, argv):
    used = chip.memory_mib // 9
    clock = {
        "clk": _value(2100, "MHz"),
        "min_clk": _value(132, "MHz"),
        "max_clk": _value(2100, "MHz"),
    }
    return {
        "gpu_data": [
            {
                "gpu": 0,
                "usage": {
                    "gfx_activity": _value(int(settings.value("use", 0)), "%"),
                    "umc_activity": _value(0, "%"),
                },
                "power": {"socket_power": _value(int(chip.power_w), "W")},
                "clock": {"gfx_0": clock, "gfx_1": dict(clock, clk="N/A")},
                "temperature": {"edge": "N/A", "hotspot": _value(52, "C"), "mem": _value(44, "C")},
                "energy": {"total_energy_consumption": _value(0.0, "J")},
                "mem_usage": {
                    "total_vram": _value(chip.memory_mib, "MB"),
                    "used_vram": _value(used, "MB"),
                    "free_vram": _value(chip.memory_mib - used, "MB"),
                },
            }
        ]
    }
