"""Host settings: where datasets, weights, caches and results lie; assay.local.toml and the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from driver.catalog import REFERENCE
from driver.errors import UsageFault
from driver.models.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
DEBOOTSTRAP = "debootstrap"
"""The value of BASE that asks for a Debian made with debootstrap, for want of a registry."""


class Settings(Frozen):
    """Everything that belongs to this host and never to the tree."""

    root: Path = ROOT
    home: Path = Field(description="environments, wheels, caches, work folders")
    results: Path
    datasets: dict[str, Path] = Field(default={}, description="dataset name → folder or tar")
    weights: dict[str, Path] = Field(default={}, description="case name → folder or file")
    installers: Path | None = Field(default=None, description="folder of vendors' installers")
    vendor_path: tuple[Path, ...] = ()
    torch_index: str = TORCH_INDEX
    base: str | None = Field(
        default=None,
        description="base image that stands in for the vendor's own; `debootstrap`: for every stack's",
    )
    reference_base: str | None = Field(
        default=None, description="base image that stands in for the reference stack's (a mirror's)"
    )
    stack_python: Path | None = Field(
        default=None, description="interpreter of this host in the place of a vendor's pinned stack"
    )
    reference_python: Path | None = Field(
        default=None, description="likewise in the place of the reference stack"
    )
    stand_ins: bool = Field(default=False, description="use images on stand-in SDKs: for tests")
    slurm_options: tuple[str, ...] = ()

    @property
    def cache(self) -> Path:
        """Return the folder of content-addressed caches."""
        return self.home / "cache"

    @property
    def datasets_home(self) -> Path:
        """Return the folder of prepared datasets: no cache, `make clean` leaves it alone."""
        return self.home / "datasets"

    def base_of(self, stack_vendor: str) -> str | None:
        """Return the base that stands in for a stack's own, None where its own counts.

        An image that a lab names for a vendor has that vendor's SDK and Python, not the reference's.
        """
        if stack_vendor != REFERENCE or self.base == DEBOOTSTRAP:
            return self.base
        return self.reference_base

    @property
    def work(self) -> Path:
        """Return the folder of job folders that are being run."""
        return self.home / "work"


def load_settings(environ: Mapping[str, str] | None = None, root: Path = ROOT) -> Settings:
    """Read ``assay.local.toml`` in ``root``; the environment's ASSAY_* win over it.

    Raises UsageFault when the file is not TOML or names an unknown setting.
    """
    env = os.environ if environ is None else environ
    path = root / "assay.local.toml"
    found = _read_toml(path) if path.is_file() else {}
    if "ASSAY_HOME" in env:
        found["home"] = env["ASSAY_HOME"]
    if env.get("VENDOR_PATH"):
        found["vendor_path"] = env["VENDOR_PATH"].split(os.pathsep)
    if env.get("TORCH_INDEX"):
        found["torch_index"] = env["TORCH_INDEX"]
    if env.get("BASE"):
        found["base"] = env["BASE"]
    if env.get("INSTALLERS"):
        found["installers"] = env["INSTALLERS"]
    if env.get("STACK_PYTHON"):
        found["stack_python"] = env["STACK_PYTHON"]
    if env.get("REFERENCE_PYTHON"):
        found["reference_python"] = env["REFERENCE_PYTHON"]
    if env.get("ASSAY_STANDINS"):
        found["stand_ins"] = env["ASSAY_STANDINS"]
    found.setdefault("home", root / ".assay")
    found["results"] = env.get("OUT") or found.get("results") or root / "results"
    try:
        settings = Settings(root=root, **found)
    except (ValidationError, TypeError) as error:
        raise UsageFault(
            f"{path.name} is not understood: {_first_problem(error)}",
            "see docs/settings.md for its keys, or remove the line",
        ) from error
    return settings.model_copy(
        update={"home": settings.home.absolute(), "results": settings.results.absolute()}
    )


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path.name} is not TOML: {error}", f"mend {path.name}") from error


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
