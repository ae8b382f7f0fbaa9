"""Host settings, such as the folders of datasets and weights, from assay.local.toml and ASSAY_*."""

from __future__ import annotations

import os
import platform
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, ValidationError, model_validator

from driver.errors import UsageFault, unknown
from driver.models.base import REFERENCE, Frozen, problems

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = not (ROOT / "driver" / "assay").is_file()
"""Whether this is the installed command: it has the manifests, but no images, hooks or code of cases."""

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
DEBOOTSTRAP = "debootstrap"
"""The value of BASE for a Debian made with debootstrap, where no registry is reachable."""

VARIABLES = {
    "TORCH_INDEX": "torch_index",
    "BASE": "base",
    "INSTALLERS": "installers",
    "STACK_PYTHON": "stack_python",
    "REFERENCE_PYTHON": "reference_python",
    "OFFLINE": "offline",
    "ALLOWED_SIGNERS": "allowed_signers",
    "HOST": "host",
    "ASSAY_LOCKS": "locks",
    "ASSAY_STANDINS": "stand_ins",
}
"""Environment variables that set a setting, and which one."""

SEARCH_PATHS = {"VENDOR_PATH": "vendor_path", "CASE_PATH": "case_path"}
"""Variables with several folders, separated by ``:``: vendors and cases outside the repository."""


class SlurmSettings(Frozen):
    """What sweeps ask the lab's Slurm for, beside what vendor.toml says of each vendor."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = Field(
        default=None, description="limit of a task as sbatch takes it; absent: the partition's"
    )
    memory: str | None = Field(default=None, description="memory of a task, for example 64G")
    cpus: int | None = Field(default=None, ge=1, description="processors of a task")
    at_once: int | None = Field(
        default=None, ge=1, description="tasks of an array that run at once"
    )
    options: tuple[str, ...] = Field(
        default=(), description="more options of sbatch, for every task"
    )
    exports: tuple[str, ...] = Field(
        default=(),
        description="options of sbatch for the tasks that export, which need no device; absent: `options`",
    )
    gres: dict[str, str] = Field(
        default={}, description="generic resource by chip or vendor, in place of vendor.toml's"
    )
    inside: str | None = Field(default=None, description="default of INSIDE")


class EngineHost(Frozen):
    """The container engine of another host: where, and with which certificates (TLS).

    ``docker``: ssh://[user@]host[:port][/path of the socket], or tcp://host:port.
    """

    name: str = ""
    docker: str = Field(pattern=r"^(ssh|tcp)://[^/]+")
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            raise ValueError("cert and key belong together")
        if self.docker.startswith("tcp://") and self.cert is None:
            raise ValueError("tcp:// needs cert and key: without them anybody is root on that host")
        return self

    @property
    def look(self) -> str:
        """Return what to type to see whether the engine answers."""
        if self.docker.startswith("tcp://"):
            return f"docker -H {self.docker} --tlsverify version"
        return f"docker -H {self.docker} version"


class Settings(Frozen):
    """Settings of this host, never part of the repository."""

    root: Path = ROOT
    home: Path = Field(description="environments, wheels, caches, work folders")
    results: Path
    datasets: dict[str, Path] = Field(default={}, description="dataset name → folder or tar")
    weights: dict[str, Path] = Field(default={}, description="case name → folder or file")
    installers: Path | None = Field(default=None, description="folder of vendors' installers")
    vendor_path: tuple[Path, ...] = ()
    case_path: tuple[Path, ...] = ()
    torch_index: str = TORCH_INDEX
    base: str | None = Field(
        default=None,
        description="base image that replaces the vendor's own; `debootstrap` replaces every stack's",
    )
    reference_base: str | None = Field(
        default=None, description="base image that replaces the reference stack's (from a mirror)"
    )
    stack_python: Path | None = Field(
        default=None, description="interpreter of this host that replaces a vendor's pinned stack"
    )
    reference_python: Path | None = Field(
        default=None, description="interpreter of this host that replaces the reference stack"
    )
    stand_ins: bool = Field(default=False, description="use images with stand-in SDKs; for tests")
    slurm_options: tuple[str, ...] = Field(
        default=(), description="options of srun, for `make run RUNNER=slurm`"
    )
    slurm: SlurmSettings = Field(
        default=SlurmSettings.model_construct(), description="for sweeps on Slurm"
    )
    hosts: dict[str, EngineHost] = Field(default={}, description="name → engine of another host")
    host: str | None = Field(default=None, description="the one of `hosts` that runs the stages")
    offline: bool = Field(
        default=False, description="contact no index, hub or registry; anything missing is an error"
    )
    allowed_signers: Path | None = Field(
        default=None,
        description="public keys trusted to sign bundles, in the format of ssh-keygen -Y",
    )
    locks: Path = Field(
        default=Path("/tmp/assay-devices"),
        description="folder of device lock files, shared by all users and homes of this host",
    )
    host_name: str | None = Field(
        default=None, description="this host's name in results; empty: none, absent: the kernel's"
    )

    @property
    def engine_host(self) -> EngineHost | None:
        """Return the other host whose engine runs the stages, None for this one."""
        return (
            None
            if self.host is None
            else self.hosts[self.host].model_copy(update={"name": self.host})
        )

    @property
    def cache(self) -> Path:
        """Return the folder of content-addressed caches."""
        return self.home / "cache"

    @property
    def datasets_home(self) -> Path:
        """Return the folder of prepared datasets, which is not a cache: `make clean` keeps it."""
        return self.home / "datasets"

    def base_of(self, stack_vendor: str) -> str | None:
        """Return the base that replaces a stack's own, None to use its own.

        A lab's base for a vendor has that vendor's SDK and Python, so it cannot replace the reference's.
        """
        if stack_vendor != REFERENCE or self.base == DEBOOTSTRAP:
            return self.base
        return self.reference_base

    @property
    def work(self) -> Path:
        """Return the folder of running jobs' work folders."""
        return self.home / "work"


ALSO_EMPTY = {"ASSAY_HOME": "home", "ASSAY_HOST_NAME": "host_name"}
"""Variables whose empty value says something: no home is a mistake, no host name a wish."""


def load_settings(environ: Mapping[str, str] | None = None, root: Path = ROOT) -> Settings:
    """Read ``assay.local.toml`` in ``root``; ASSAY_* variables override it.

    The installed command reads it in the current folder, and keeps results there. Raises UsageFault
    when the file is not TOML or has an unknown setting.
    """
    env = os.environ if environ is None else environ
    here = Path.cwd() if INSTALLED and root == ROOT else root
    path = here / "assay.local.toml"
    found = _read_toml(path) if path.is_file() else {}
    found |= {key: env[name] for name, key in ALSO_EMPTY.items() if name in env}
    for name, key in SEARCH_PATHS.items():
        if env.get(name):
            found[key] = env[name].split(os.pathsep)
    found |= {key: env[name] for name, key in VARIABLES.items() if env.get(name)}
    found.setdefault("home", root / ".assay" if here == root else _user_cache(env, here))
    found["results"] = env.get("OUT") or found.get("results") or here / "results"
    try:
        settings = Settings(root=root, **found)
    except (ValidationError, TypeError) as error:
        raise UsageFault(
            f"{path.name} has an invalid setting: {_first_problem(error)}",
            "fix or remove it; docs/settings.md lists the keys",
        ) from error
    _require_known(settings)
    return settings.model_copy(
        update={
            "host": _other_host(settings),
            "home": settings.home.absolute(),
            "results": settings.results.absolute(),
        }
    )


def load_settings_here(environ: Mapping[str, str] | None = None, root: Path = ROOT) -> Settings:
    """Read the settings of a target that runs its stages on this host alone.

    Raises as ``load_settings``, and first of all UsageFault where HOST names another host: that there is
    none of this name would send the user to name it, for a target that does not take it.
    """
    env = os.environ if environ is None else environ
    if env.get("HOST") and not _is_here(env["HOST"]):
        raise _not_for_hosts(env["HOST"])
    settings = load_settings(env, root)
    require_here(settings)
    return settings


def require_here(settings: Settings) -> None:
    """Raise UsageFault where the settings name another host, which only some targets can use."""
    if settings.host is not None:
        raise _not_for_hosts(settings.host)


def _not_for_hosts(host: str) -> UsageFault:
    return UsageFault(
        f"HOST={host} is not for this target",
        "leave HOST out: the targets that take it are run, images, doctor and clean",
    )


def _other_host(settings: Settings) -> str | None:
    # Some shells (tcsh) export their own machine's name as HOST.
    return settings.host if settings.host in settings.hosts else None


COMPILERS = re.compile(r".+-linux(-.+)?")
"""What compilers export as HOST, such as conda's: x86_64-conda-linux-gnu."""


def _require_known(settings: Settings) -> None:
    """Raise UsageFault for a HOST that is neither one of `hosts` nor this machine, nor a compiler's."""
    host = settings.host
    if host is None or host in settings.hosts or _is_here(host):
        return
    if settings.hosts:
        raise unknown("host", host, settings.hosts)
    raise UsageFault(
        f"HOST={host}: no other host is named here",
        f'name it in assay.local.toml: [hosts.{host}] and docker = "ssh://user@{host}"',
    )


def _is_here(host: str) -> bool:
    """Whether HOST is what shells and compilers set it to: this machine, or what is compiled for."""
    node = platform.node()
    return host in (node, node.partition(".")[0]) or COMPILERS.fullmatch(host) is not None


def _user_cache(env: Mapping[str, str], here: Path) -> Path:
    try:
        return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
    except RuntimeError:  # a user whom neither HOME nor the system's list of users gives a home
        return here / ".assay"


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path.name} is not TOML: {error}", f"fix {path.name}") from error


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return problems(error)[0]
    return str(error)
