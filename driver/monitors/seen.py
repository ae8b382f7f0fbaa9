"""Names of the selected devices, and which part of a device each is (MIG, vGPU, MPS, vNPU)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from driver.monitors.reading import MonitorFormatError
from driver.monitors.sources import MonitorError, command_of, make_source
from driver.plan.chips import SeenDevice
from driver.system.command import Command, CommandHung
from driver.system.host.processor import read_processor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.models.vendor import MonitorSpec
    from driver.monitors.reading import Reading

MIG_SLICE = "MIG slice"
"""How the part of a GPU that is a MIG device begins, followed by its profile."""
MPS_SHARE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
_GPU = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[^)]+)\)")
_MIG = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
# NVIDIA's virtual GPUs: series A, B, C, Q after the GiB of memory ("GRID A100-10C", "A100-1-5CME").
_VGPU = re.compile(r"^(?:GRID|NVIDIA)?\s*(?P<board>\S.*?)(?:-\d)?-\d+[ABCQ](?:ME)?$")
_MIG_NAME = re.compile(r"^(?P<board>.+?) MIG \S+$")
# npu-smi calls a virtual NPU by its chip and its template: "310Pvir02", "910vir08".
_VNPU = re.compile(r"^(?P<chip>.+?)-?(?P<template>vir\d+\w*)$")


class Slice(NamedTuple):
    """A MIG device: its profile ("1g.10gb", "" if unknown) and its uuid."""

    profile: str
    uuid: str


def seen_devices(
    spec: MonitorSpec, device: str, environ: Mapping[str, str] | None = None
) -> tuple[SeenDevice, ...]:
    """Return the selected devices as their monitor names them; empty if it reports none.

    Errors are ignored: the same monitor fails again during the stages, which the result records.
    """
    if spec.parser == "proc":
        processor = read_processor()
        return (SeenDevice(name=processor.name, whole=processor.model, part=processor.part),)
    source = make_source(spec)
    if source is None:
        return ()
    try:
        readings = source.read()
    except (MonitorError, MonitorFormatError, OSError):
        return ()
    wanted = device.split(",")
    if spec.parser == "nvidia-smi":
        environ = os.environ if environ is None else environ
        share = environ.get(MPS_SHARE, "")
        return _once(_nvidia(readings, wanted, mig_slices(spec, readings), share))
    chosen = [reading for reading in readings if {reading.device, reading.uuid} & set(wanted)]
    return _once([_named(reading) for reading in chosen if reading.name])


def absent_devices(spec: MonitorSpec, device: str) -> tuple[list[str], list[str]]:
    """Return the selected devices that the monitor does not report, and the numbers that it does.

    Nothing is absent where no monitor can tell: it has none, it fails, or the name is a part of a device
    that it does not list.
    """
    source = None if spec.parser == "proc" else make_source(spec)
    try:
        readings = () if source is None else source.read()
    except (MonitorError, MonitorFormatError, OSError):
        readings = ()
    known = {name for reading in readings for name in (reading.device, reading.uuid) if name}
    wanted = [name.strip() for name in device.split(",")]
    absent = [one for one in wanted if one not in known and not one.startswith("MIG-")]
    return (absent if known else []), [reading.device for reading in readings]


def _once(devices: Sequence[SeenDevice]) -> tuple[SeenDevice, ...]:
    return tuple(dict.fromkeys(devices))


def _named(reading: Reading) -> SeenDevice:
    memory = reading.memory_total_bytes
    virtual = _VNPU.match(reading.name)
    if virtual is not None:
        return SeenDevice(
            name=reading.name,
            whole=virtual["chip"],
            part=f"virtual NPU {virtual['template']}",
            memory_bytes=memory,
            uuid=reading.uuid,
        )
    return SeenDevice(name=reading.name, memory_bytes=memory, uuid=reading.uuid)


# --- NVIDIA ------------------------------------------------------------------------------------


def _nvidia(
    readings: Sequence[Reading],
    wanted: Sequence[str],
    slices: Mapping[str, Sequence[Slice]],
    share: str,
) -> list[SeenDevice]:
    found = []
    for reading in readings:
        mine = slices.get(reading.uuid, ())
        if {reading.device, reading.uuid} & set(wanted) and reading.name:
            # A program that selects a GPU in MIG mode gets its first slice.
            found.append(_of_board(reading, mine[0] if mine else None, share))
        chosen = [one for one in mine if one.uuid in wanted]
        found += [_of_board(reading, one, share) for one in chosen]
    return found


def _of_board(reading: Reading, mig: Slice | None, share: str) -> SeenDevice:
    name, whole, part = reading.name, "", ""
    virtual = _MIG_NAME.match(name) or _VGPU.match(name)
    if virtual is not None:
        board = virtual["board"]
        whole = board if board.startswith("NVIDIA ") else f"NVIDIA {board}"
        part = "virtual GPU"
    elif mig is not None:
        whole, part = name, f"{MIG_SLICE} {mig.profile}".rstrip()
        name = f"{name} MIG {mig.profile}".rstrip()
    percent = _share_percent(share)
    if percent is not None:
        whole = whole or name
        name = f"{name} MPS {percent:g}%"
        part = ", ".join(filter(None, [part, f"MPS share of {percent:g} %"]))
    return SeenDevice(
        name=name,
        whole=whole,
        part=part,
        memory_bytes=reading.memory_total_bytes,
        uuid=(mig.uuid if mig else "") or reading.uuid,
    )


def _share_percent(text: str) -> float | None:
    try:
        percent = float(text)
    except ValueError:
        return None
    return percent if 0 < percent < 100 else None


def mig_slices(spec: MonitorSpec, readings: Sequence[Reading]) -> dict[str, tuple[Slice, ...]]:
    """Return the MIG devices of ``nvidia-smi -L`` by their GPU's uuid.

    A GPU in MIG mode without listed devices gets one of unknown profile.
    """
    program = command_of(spec)[0]
    listed = parse_slices(_said((program, "-L"), spec.timeout_s))
    if listed:
        return listed
    modes = _said(
        (program, "--query-gpu=mig.mode.current", "--format=csv,noheader"), spec.timeout_s
    ).splitlines()
    return {
        reading.uuid: (Slice("", ""),)
        for reading, mode in zip(readings, modes, strict=False)
        if mode.strip() == "Enabled"
    }


def boards_of(spec: MonitorSpec, device: str) -> str:
    """Return ``device`` with the uuid of each MIG device replaced by that of its GPU, which is monitored."""
    parents = {
        one.uuid: gpu
        for gpu, slices in parse_slices(_said((command_of(spec)[0], "-L"), spec.timeout_s)).items()
        for one in slices
    }
    names = (name.strip() for name in device.split(","))
    return ",".join(dict.fromkeys(parents.get(name, name) for name in names))


def parse_slices(listing: str) -> dict[str, tuple[Slice, ...]]:
    """Return the MIG devices in the output of ``nvidia-smi -L`` by GPU uuid, without other GPUs."""
    found: dict[str, tuple[Slice, ...]] = {}
    gpu = ""
    for line in listing.splitlines():
        board, mig = _GPU.match(line), _MIG.match(line)
        if board is not None:
            gpu = board[1]
        elif mig is not None:
            found[gpu] = (*found.get(gpu, ()), Slice(mig[1], mig[2]))
    return found


def _said(argv: tuple[str, ...], timeout_s: float) -> str:
    """Return a command's output, "" if it fails: older versions of nvidia-smi do not know MIG."""
    try:
        returncode, out, _ = Command(argv, timeout_s).run()
    except (CommandHung, OSError):
        return ""
    return out.decode("utf-8", "replace") if returncode == 0 else ""
