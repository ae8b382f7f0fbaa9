"""What a stage is run in, as a value: mounts, user, limits, devices. Pure; the runners obey it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from driver.devices import Devices, renumbered, select_devices
from driver.identity import DriverProcess
from driver.models.base import StageName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.job import JobFile
    from driver.models.manifest import CaseManifest, VendorManifest

JOB_ROOT = "/job"
"""Where the job folder lies for the guest in a container; elsewhere a runner translates it."""

GIB = 1 << 30
DEFAULT_MEMORY_GIB = 8.0
HOST_MEMORY_SHARE = 0.95
"""A limit above what the machine has would let it swap or kill somebody else."""

ROOT_STAND_IN = 10001
"""The user of a container whose caller is root; nobody on a usual host has this number."""

DEFAULT_TIMEOUT_S: dict[StageName, float] = {
    StageName.EXPORT: 3600.0,
    StageName.COMPILE: 4 * 3600.0,
    # 50,000 images at 2 images/s (ViT-L on a small CPU) take seven hours.
    StageName.VALIDATE: 24 * 3600.0,
    StageName.INFER: 24 * 3600.0,
    StageName.SCORE: 3600.0,
}

REFERENCE_STAGES = frozenset({StageName.EXPORT, StageName.SCORE})
VENDOR_STAGES = frozenset(StageName) - REFERENCE_STAGES


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A host path that the guest sees at ``target``, relative to the job folder."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a stage may use."""

    memory_bytes: int
    processes: int
    timeout_s: float
    tmp_bytes: int
    shared_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class InstalledStack:
    """A stack on this machine: its image's tag or id, or its virtual environment.

    ``stand_in``: its SDK is a test's imitation, which has its devices in itself. ``env``: what an
    interpreter of this host needs of the caller's environment.
    """

    image: str | None = None
    venv: Path | None = None
    stand_in: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """The two stacks of a job."""

    reference: InstalledStack
    vendor: InstalledStack


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything that a stage may see lies on the host; None is what the job has not.

    ``folder`` is the stage's own work folder, for the process runner's job folder and its TMPDIR.
    """

    folder: Path
    job_json: Path
    out: Path
    harness: Path
    case: Path
    hook: Path
    reference_hook: Path
    data: Path | None = None
    model: Path | None = None
    weights: Path | None = None
    golden: Path | None = None
    labels: Path | None = None
    infer: Path | None = None
    validate: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who runs the driver, on what, and with which ASSAY_HOME."""

    uid: int
    gid: int
    memory_bytes: int
    home: Path
    process: DriverProcess


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One stage, ready to be run. ``masks`` are job-relative folders that show up empty."""

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
        """Return the host path behind a job-relative target, None where the stage lacks it."""
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
    """Decide everything about how this stage is run.

    Raises nothing: whether the paths, devices and images exist is the runner's to check.
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
    # A stand-in's host has none, and one that has must not have its own measured by an imitation.
    return Devices() if stack.stand_in else select_devices(vendor.devices, job.device)


def guest_user(uid: int, gid: int) -> tuple[int, int]:
    """Return uid and gid of a caller's guest: the caller's, so that out is theirs, but never root's."""
    return (ROOT_STAND_IN, ROOT_STAND_IN) if uid == 0 else (uid, gid)


def owner_labels(caller: Caller) -> dict[str, str]:
    """Return the labels by which a later driver knows whose container it is."""
    process = {f"assay.driver-{key}": value for key, value in caller.process.to_dict().items()}
    return {"assay.home": str(caller.home), **process}


def stage_mounts(
    job: JobFile, places: Places, vendor: VendorManifest, *, scoring_weights: bool = False
) -> tuple[Mount, ...]:
    """Return what the stage sees; labels and the vendor's own predictions only in score.

    ``scoring_weights``: score sees the weights too, for a case whose metric is a model's judgement.
    """
    stage = job.stage
    hook = places.hook if stage in VENDOR_STAGES else places.reference_hook
    read_only: dict[str, Path | None] = {
        "job.json": places.job_json,
        "harness": places.harness,
        "case": places.case,
        "hook": hook,
        "data": places.data,
    }
    if stage is StageName.SCORE:
        read_only |= {
            "labels": places.labels,
            "golden": places.golden,
            "infer": places.infer,
            "validate": places.validate,
        }
    else:
        read_only["model"] = places.model
    if stage is StageName.EXPORT:
        read_only["golden"] = places.golden
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
    # A bundled dataset lies in the case's folder in one folder per class: its paths are the labels.
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
    # Two homes, or two pid namespaces on one engine, may repeat a folder's name: hence the digest.
    whole = f"{process.host}/{process.boot}/{process.namespace}/{process.pid}/{folder}"
    tail = sha256(whole.encode()).hexdigest()[:8]
    return f"assay-{folder.parent.name}-{folder.name}-{tail}"
