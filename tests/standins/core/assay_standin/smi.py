"""nvidia-smi, ixsmi, npu-smi, xpu_smi and mx-smi: what they print of one chip.

It is idle unless ASSAY_STANDIN_USE says how busy it is: the job runs in another container,
and whoever looks while nothing of theirs runs must not find a load.
"""

import sys
import time

from assay_standin import chips, faults, settings

_GARBLED = "<<< the driver is being updated, come back later >>>"


def _begin(vendor):
    """Return the chip; hang, die or print what no version prints, where that is asked for."""
    if "garble" in faults.strike("monitor"):
        print(_GARBLED)
        sys.exit(0)
    return chips.chip(vendor)


def _use():
    """How busy the chip is, percent."""
    return int(settings.value("use", 0))


# --- NVIDIA -----------------------------------------------------------------------------------
def _nvidia_fields(chip):
    used = chip.memory_mib // 9
    return {
        "index": "0",
        "uuid": "GPU-00000000-a55a-4000-8000-000000000001",
        "gpu_uuid": "GPU-00000000-a55a-4000-8000-000000000001",
        "name": chip.name,
        "driver_version": settings.value("driver", "580.105.08"),
        "memory.used": "{} MiB".format(used),
        "memory.free": "{} MiB".format(chip.memory_mib - used),
        "memory.total": "{} MiB".format(chip.memory_mib),
        "power.draw": "{:.2f} W".format(chip.power_w),
        "utilization.gpu": "{} %".format(_use()),
        "temperature.gpu": "63",
        "clocks.sm": "1410 MHz",
        "clocks.current.sm": "1410 MHz",
        "compute_cap": chip.kind,
        "count": "1",
        "mig.mode.current": "Disabled",
        "pci.bus_id": "00000000:01:00.0",
    }


_NVIDIA_UNITS = {"memory.used": "MiB", "memory.free": "MiB", "memory.total": "MiB",
                 "power.draw": "W", "utilization.gpu": "%", "clocks.sm": "MHz"}  # fmt: skip


def nvidia_smi(argv):
    """``nvidia-smi``: -L, --query-gpu, --query-compute-apps, or the table."""
    chip = _begin("nvidia")
    options = dict(word.partition("=")[::2] for word in argv)
    known = {
        "-L",
        "--list-gpus",
        "--query-gpu",
        "--query-compute-apps",
        "--format",
        "-i",
        "--id",
        "0",
    }
    unknown = [word for word in options if word not in known]
    if unknown:
        print("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n")
        return 2
    if "-L" in options or "--list-gpus" in options:
        print("GPU 0: {} (UUID: {})".format(chip.name, _nvidia_fields(chip)["uuid"]))
        return 0
    if "--query-compute-apps" in options:
        return 0
    if "--query-gpu" in options:
        return _nvidia_query(chip, options)
    print("{}\n| NVIDIA-SMI {}  CUDA Version: {} |\n| 0  {} |".format(
        time.ctime(), settings.value("driver", "580.105.08"), settings.value("cuda"), chip.name))  # fmt: skip
    return 0


def _nvidia_query(chip, options):
    return _query(_nvidia_fields(chip), _NVIDIA_UNITS, options)


def _query(fields, with_units, options):
    """Print the columns that --query-gpu names, as --format says."""
    names = options["--query-gpu"].split(",")
    wrong = [name for name in names if name not in fields]
    if wrong:
        print('Field "{}" is not a valid field to query.\n'.format(wrong[0]))
        return 2
    formats = options.get("--format", "").split(",")
    if formats[0] != "csv":
        print('"--format=" switch is missing or not csv.\n')
        return 2
    if "noheader" not in formats:
        units = {name: " [{}]".format(unit) for name, unit in with_units.items()}
        print(", ".join(name + units.get(name, "") for name in names))
    values = [fields[name] for name in names]
    if "nounits" in formats:
        values = [v.rsplit(" ", 1)[0] if n in with_units else v for n, v in zip(names, values)]
    print(", ".join(values))
    return 0


# --- Iluvatar ---------------------------------------------------------------------------------
_IX_UNITS = {"memory.used": "MiB", "memory.total": "MiB", "gpu.power.draw": "W",
             "utilization.gpu": "%", "temperature.gpu": "C", "clocks.current.sm": "MHz"}  # fmt: skip


def _ix_fields(chip):
    return {
        "index": "0",
        "uuid": "GPU-00000000-a55a-5000-8000-000000000001",
        "name": chip.name,
        "driver_version": settings.value("driver", "4.3.0"),
        "memory.used": "{} MiB".format(chip.memory_mib // 9),
        "memory.total": "{} MiB".format(chip.memory_mib),
        # The second chip of a card has no meter of its own.
        "gpu.power.draw": "{:.0f} W".format(chip.power_w),
        "utilization.gpu": "{} %".format(_use()),
        "temperature.gpu": "41 C",
        "clocks.current.sm": "1500 MHz",
    }


def ixsmi(argv):
    """``ixsmi --query-gpu=… --format=csv…``, and the head of its table."""
    chip = _begin("iluvatar")
    options = dict(word.partition("=")[::2] for word in argv)
    if not options:
        version = settings.value("driver", "4.3.0")
        print(
            "|  IX-ML: {0}       Driver Version: {0}       CUDA Version: 10.2          |".format(
                version
            )
        )
        print("| 0    {:<25}| 00000000:13:00.0     | 1500MHz   1600MHz    |".format(chip.name))
        return 0
    if set(options) - {"--query-gpu", "--format"}:
        print("Invalid combination of input arguments. Please run 'ixsmi -h' for help.")
        return 2
    return _query(_ix_fields(chip), _IX_UNITS, options)


# --- Ascend -----------------------------------------------------------------------------------
def npu_smi(argv):
    """``npu-smi info``: the layout of the chip's own release."""
    chip = _begin("ascend")
    if argv[:1] != ["info"]:
        print("Error parameter of {}\nUsage: npu-smi info".format(argv[0] if argv else ""))
        return 1
    if argv[1:] == ["-l"]:
        print("\tTotal Count                    : 1\n\n\tNPU ID                         : 0\n"
              "\tChip Count                     : {}".format(4 if chip.name == "310" else 1))  # fmt: skip
        return 0
    if argv[1:]:
        print("Error parameter of {}".format(argv[1]))
        return 1
    if chip.name == "310":
        _npu_table_310(settings.value("driver", "21.0.3.1"), chip)
    elif chip.name.startswith("910"):
        _npu_table_hbm(settings.value("driver", "25.5.2"), chip)
    else:
        _npu_table(settings.value("driver", "22.0.2"), chip)
    return 0


def _npu_table_310(version, chip):
    print("+------------------------------------------------------------------------------+")
    print("| npu-smi {:<29}Version: {:<31}|".format(version, version))
    print("+-------------------+-----------------+----------------------------------------+")
    print("| NPU     Name      | Health          | Power(W)          Temp(C)              |")
    print("| Chip    Device    | Bus-Id          | AICore(%)         Memory-Usage(MB)     |")
    print("+===================+=================+========================================+")
    for number in range(4):
        print(
            "| 1       {:<10}| OK              | {:<18}{:<21}|".format(chip.name, chip.power_w, 49)
        )
        memory = "{} / {}".format(2621, chip.memory_mib)
        print("| {0:<8}{0:<10}| 0000:0{0}:00.0    | {1:<18}{2:<21}|".format(number, _use(), memory))
        print("+-------------------+-----------------+----------------------------------------+")


def _npu_table(version, chip):
    rule = "+-------------------------------+-----------------+------------------------------------------------------+"
    print("+" + "-" * 104 + "+")
    print("| npu-smi {:<41}Version: {:<45}|".format(version, version))
    print(rule)
    print(
        "| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |"
    )
    print(
        "| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |"
    )
    print(rule.replace("-", "="))
    print(
        "| 0       {:<22}| OK              | {:<13}{:<18}{:<22}|".format(
            chip.name, chip.power_w, 62, "0    / 0"
        )
    )
    memory = "{} / {}".format(1074, chip.memory_mib)
    print(
        "| 0       0                     | 0000:82:00.0    | {:<13}{:<40}|".format(_use(), memory)
    )
    print(rule.replace("-", "="))


def _npu_table_hbm(version, chip):
    rule = "+---------------------------+---------------+----------------------------------------------------+"
    print("+" + "-" * 96 + "+")
    print("| npu-smi {:<25}Version: {:<53}|".format(version, version))
    print(rule)
    print(
        "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|"
    )
    print(
        "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |"
    )
    print(rule.replace("-", "="))
    print("| 0     {:<20}| OK            | {:<12}{:<18}{:<21}|".format(
        chip.name, chip.power_w, 39, "0    / 0"))  # fmt: skip
    print("| 0                         | 0000:41:00.0  | {:<12}{:<18}{:<21}|".format(
        _use(), "0    / 0", "2922 / {}".format(chip.memory_mib)))  # fmt: skip
    print(rule.replace("-", "="))


# --- Kunlunxin --------------------------------------------------------------------------------
def xpu_smi(argv):
    """``xpu_smi`` and ``xpu_smi -m``."""
    chip = _begin("kunlunxin")
    if argv not in ([], ["-m"]) and argv[:2] != ["-m", "-d"]:
        print("xpu_smi: unrecognized option '{}'".format(argv[0]), file=sys.stderr)
        return 1
    used = chip.memory_mib // 5
    if argv:
        print("0000:53:00.0 0 0 02K05Y6226V0004A 61 0 0 0 {:.0f} 1300 1300 1300 1300 1300 1300 63 63 "
              '{} {} {} 0.0:0.0 "{}" 0 0'.format(chip.power_w, used, chip.memory_mib, _use(), chip.name))  # fmt: skip
        return 0
    titles = ("DevID", "PCI Addr", "Model", "SN", "INODE", "State", "UseRate", "L3", "Memory",
              "Power(W)", "Temp", "Freq(MHz)")  # fmt: skip
    row = ("0", "0000:53:00.0", chip.name, "02K05Y6226V0004A", "/dev/xpu0", "N", "{} %".format(_use()), "63 / 63 MB",
           "{} / {} MB".format(used, chip.memory_mib), "{:.0f}".format(chip.power_w), "61", "1300")  # fmt: skip
    print("Driver Version: {}".format(settings.value("driver", "4.0.18")))
    widths = [max(len(a), len(b)) for a, b in zip(titles, row)]
    for cells in (titles, row):
        print("| {} |".format(" | ".join(cell.ljust(width) for cell, width in zip(cells, widths))))
    return 0


# --- MetaX ------------------------------------------------------------------------------------
def mx_smi(argv):
    """``mx-smi`` and ``mx-smi -L``."""
    chip = _begin("metax")
    maca = settings.value("maca")
    version = "2.2.4" if maca.startswith("2.") else "2.3.1"
    print("mx-smi  version: {}\n".format(version))
    if argv == ["-L"]:
        print(
            "GPU#0    MXC500      0000:01:00.0   Available (UUID: GPU-00000000-a55a-4000-8000-0000000000c5)"
        )
        return 0
    if argv:
        print("unrecognised option {}".format(argv[0]), file=sys.stderr)
        return 1
    print("=================== MetaX System Management Interface Log ===================")
    print("Timestamp                                         : {}\n".format(time.ctime()))
    print("Attached GPUs                                     : 1")
    print("+---------------------------------------------------------------------------------+")
    print("| MX-SMI {:<28}Kernel Mode Driver Version: {:<17}|".format(
        version, settings.value("driver", "2.14.8" if version == "2.2.4" else "3.8.30")))  # fmt: skip
    print("| MACA Version: {:<22}BIOS Version: 1.24.4.0                      |".format(maca))
    (_mx_table if version == "2.2.4" else _mx_table_of_boards)(chip)
    return 0


def _mx_table(chip):
    print("|------------------------------------+---------------------+----------------------|")
    print("| GPU         NAME                   | Bus-id              | GPU-Util             |")
    print("| Temp        Pwr:Usage/Cap          | Memory-Usage        | GPU-State            |")
    print("|====================================+=====================+======================|")
    print(
        "| 0           {:<23}| 0000:01:00.0        | {:<21}|".format(
            chip.name, "{}%".format(_use())
        )
    )
    power = "{:.0f}W / 350W".format(chip.power_w)
    memory = "{}/{} MiB".format(chip.memory_mib // 8, chip.memory_mib)
    print("| 64C         {:<23}| {:<20}| Available            |".format(power, memory))
    print("+------------------------------------+---------------------+----------------------+")


def _mx_table_of_boards(chip):
    """As from 2.2.9 on."""
    rule = "|------------------+-----------------+---------------------+----------------------|"
    print(rule)
    print("| Board       Name | GPU   Persist-M | Bus-id              | GPU-Util      sGPU-M |")
    print("| Pwr:Usage/Cap    | Temp       Perf | Memory-Usage        | GPU-State            |")
    print(rule.replace("-", "="))
    use = "{}%".format(_use())
    print(
        "| 0     {:>10} | 0           Off | 0000:01:00.0        | {:<12}Disabled |".format(
            chip.name, use
        )
    )
    power = "{:.0f}W / 350W".format(chip.power_w)
    memory = "{}/{} MiB".format(chip.memory_mib // 8, chip.memory_mib)
    print("| {:<17}| 64C          P0 | {:<20}| Available            |".format(power, memory))
    print("+------------------+-----------------+---------------------+----------------------+")
