"""How a stage is run, as a value: mounts, user, limits, devices. Pure; the runners apply it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from driver.models.base import REFERENCE_STAGES, VENDOR_STAGES, StageName
from driver.runners.devices import Devices, renumbered, select_devices
from driver.system.driver_process import DriverProcess
from driver.system.untrusted.opener import ROOT_STAND_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.case import CaseManifest
    from driver.models.job import JobFile
    from driver.models.vendor import VendorManifest

JOB_ROOT = "/job"
"""The guest's path of the job folder in a container; other runners translate it."""

GIB = 1 << 30
DEFAULT_MEMORY_GIB = 8.0
HOST_MEMORY_SHARE = 0.95
"""A higher limit would let the machine swap, or kill somebody else's process."""

DEFAULT_TIMEOUT_S: dict[StageName, float] = {
    StageName.EXPORT: 3600.0,
    StageName.COMPILE: 4 * 3600.0,
    # 50,000 images at 2 images/s (ViT-L on a small CPU) take seven hours.
    StageName.VALIDATE: 24 * 3600.0,
    StageName.INFER: 24 * 3600.0,
    StageName.SCORE: 3600.0,
}


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A host path that the guest sees at ``target``, relative to the job folder."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Resource limits of a stage."""

    memory_bytes: int
    processes: int
    timeout_s: float
    tmp_bytes: int
    shared_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class InstalledStack:
    """A stack on this machine: its image's tag or id, or its virtual environment.

    ``sif``: the file that Apptainer runs the image from. ``stand_in``: its SDK is a test stand-in that
    simulates its devices. ``env``: the caller's variables that an interpreter of this host needs.
    """

    image: str | None = None
    sif: Path | None = None
    venv: Path | None = None
    stand_in: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """The two stacks of a job."""

    reference: InstalledStack
    vendor: InstalledStack


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """A stage's inputs besides code, as host folders; None where the job has none (yet)."""

    source: Path | None = None
    """The user's file or folder, as published, of which the items are made."""

    data: Path | None = None
    model: Path | None = None
    weights: Path | None = None
    golden: Path | None = None
    labels: Path | None = None
    infer: Path | None = None
    validate: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Places(StageInputs):
    """Every host path that a stage may see.

    ``folder`` is the stage's work folder; the process runner puts its job folder and TMPDIR there.
    """

    folder: Path
    job_json: Path
    out: Path
    harness: Path
    case: Path
    hook: Path
    reference_hook: Path
    clock: Path | None = None
    """Where a measured stage answers the driver's clock."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The driver's user, process and ASSAY_HOME, and the host's memory."""

    uid: int
    gid: int
    memory_bytes: int
    home: Path
    process: DriverProcess


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One stage, ready to run. ``masks`` are job-relative folders that appear empty."""

    name: str
    stage: StageName
    stack: InstalledStack
    folder: Path
    argv: tuple[str, ...]
    mounts: tuple[Mount, ...]
    masks: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    devices: Devices = field(default_factory=Devices)
    limits: Limits
    threads: int
    uid: int
    gid: int
    labels: Mapping[str, str] = field(default_factory=dict)

    def source(self, target: str) -> Path | None:
        """Return the host path mounted at a job-relative target, None if the stage has none."""
        return next((mount.source for mount in self.mounts if mount.target == target), None)


def container_spec(
    job: JobFile,
    places: Places,
    *,
    vendor: VendorManifest,
    case: CaseManifest,
    stacks: Stacks,
    caller: Caller,
) -> ContainerSpec:
    """Return how a stage is run.

    Raises nothing: the runner checks that paths, devices and images exist.
    """
    by_vendor = job.stage in VENDOR_STAGES
    uid, gid = guest_user(caller.uid, caller.gid)
    return ContainerSpec(
        name=_name(places.folder, caller.process),
        stage=job.stage,
        stack=stacks.vendor if by_vendor else stacks.reference,
        folder=places.folder,
        argv=(f"{JOB_ROOT}/hook/hook", job.stage.value, JOB_ROOT),
        mounts=stage_mounts(job, places, vendor, scoring_weights=case.weights.scoring),
        masks=_masks(case),
        env=_environment(job, vendor),
        devices=_devices(job, vendor, stacks.vendor) if by_vendor else Devices(),
        limits=_limits(job, case, caller.memory_bytes),
        threads=job.threads,
        uid=uid,
        gid=gid,
        labels=owner_labels(caller) | {"assay.job": job.job.id, "assay.stage": job.stage.value},
    )


def _devices(job: JobFile, vendor: VendorManifest, stack: InstalledStack) -> Devices:
    # A stand-in must never touch a real device, even on a host that has one.
    return Devices() if stack.stand_in else select_devices(vendor.devices, job.device)


def guest_user(uid: int, gid: int) -> tuple[int, int]:
    """Return the guest's uid and gid: the caller's, so that they own ``out``, but never root's."""
    return (ROOT_STAND_IN, ROOT_STAND_IN) if uid == 0 else (uid, gid)


def owner_labels(caller: Caller) -> dict[str, str]:
    """Return container labels that let a later driver identify the owner."""
    process = {f"assay.driver-{key}": value for key, value in caller.process.to_dict().items()}
    return {"assay.home": str(caller.home), **process}


def stage_mounts(
    job: JobFile, places: Places, vendor: VendorManifest, *, scoring_weights: bool = False
) -> tuple[Mount, ...]:
    """Return the stage's mounts; only score sees labels and predictions, and compile sees no data.

    ``scoring_weights``: score sees the weights too, for a case whose metric uses a model.
    """
    stage = job.stage
    hook = places.hook if stage in VENDOR_STAGES else places.reference_hook
    read_only: dict[str, Path | None] = {
        "job.json": places.job_json,
        "harness": places.harness,
        "case": places.case,
        "hook": hook,
        "model": places.model,
        "clock": places.clock,
    }
    if stage is not StageName.COMPILE:
        # What is measured must not shape the engine that is measured.
        read_only["data"] = places.data
    if stage is StageName.SCORE:
        read_only |= {
            "labels": places.labels,
            "golden": places.golden,
            "infer": places.infer,
            "validate": places.validate,
        }
    if stage is StageName.EXPORT:
        read_only |= {"golden": places.golden, "source": places.source}
    if _needs_weights(job, vendor) or (stage is StageName.SCORE and scoring_weights):
        read_only["weights"] = places.weights
    writable: dict[str, Path | None] = {"out": places.out}
    if stage in VENDOR_STAGES:
        writable["cache"] = places.cache
    return _present(read_only, read_only=True) + _present(writable, read_only=False)


def _present(paths: Mapping[str, Path | None], *, read_only: bool) -> tuple[Mount, ...]:
    return tuple(
        Mount(source=source, target=target, read_only=read_only)
        for target, source in paths.items()
        if source is not None
    )


def _needs_weights(job: JobFile, vendor: VendorManifest) -> bool:
    if job.stage is StageName.EXPORT:
        return True
    if job.stage is StageName.SCORE:
        return False
    if job.stage is StageName.VALIDATE:
        engine = vendor.engines.get(job.validate_engine or job.job.engine)
        return job.engine_needs == "weights" if engine is None else engine.needs == "weights"
    return job.engine_needs == "weights"


def _masks(case: CaseManifest) -> tuple[str, ...]:
    # A bundled dataset has one folder per class in the case's folder: its paths reveal the labels.
    bundled = case.data.bundled
    return () if bundled is None else (f"case/{Path(bundled).as_posix()}",)


def _environment(job: JobFile, vendor: VendorManifest) -> dict[str, str]:
    env = {
        "LC_ALL": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(job.threads),
    }
    if job.stage in REFERENCE_STAGES:
        return env
    devices = vendor.devices
    env |= devices.env
    if devices.select is not None and not renumbered(devices, job.job.runner):
        env[devices.select] = job.device
    engine = vendor.engines.get(job.job.engine)
    precision = engine.precisions.get(job.job.precision) if engine else None
    return env | (precision.env if precision else {})


def _limits(job: JobFile, case: CaseManifest, host_memory_bytes: int) -> Limits:
    wanted = int(case.run.memory_gib.get(job.stage, DEFAULT_MEMORY_GIB) * GIB)
    memory = min(wanted, int(host_memory_bytes * HOST_MEMORY_SHARE))
    patience = case.run.timeout_s.get(job.stage, DEFAULT_TIMEOUT_S[job.stage])
    return Limits(
        memory_bytes=memory,
        processes=1024 + 16 * job.threads,
        timeout_s=patience,
        tmp_bytes=max(memory // 4, 64 << 20),
        shared_memory_bytes=max(memory // 8, 64 << 20),
    )


def _name(folder: Path, process: DriverProcess) -> str:
    # The digest: two homes, or two pid namespaces on one engine, may use the same folder name.
    whole = f"{process.host}/{process.boot}/{process.namespace}/{process.pid}/{folder}"
    tail = sha256(whole.encode()).hexdigest()[:8]
    return f"assay-{folder.parent.name}-{folder.name}-{tail}"
