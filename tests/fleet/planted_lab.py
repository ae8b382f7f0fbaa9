"""A lab on a shared disk for tests: the real driver, a miniature case and vendor, scripted hooks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.stacks.recipes import recipe_sha256
from driver.system.settings import ROOT
from tests.apptainer import PYTHON
from tests.driver.miniature import make_pictures, make_tree, write_executable
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fleet.cluster import Cluster

HOOK = (ROOT / "tests" / "driver" / "scripted_hook.py").read_text(encoding="utf-8")
LOCAL = """
stack_python = "{python}"
reference_python = "{python}"
[slurm]
inside = "process"
cpus = {cpus}
{more}
"""
IN_CONTAINERS = """
[slurm]
inside = "{inside}"
cpus = 2
"""
SCHEDULER = """
[scheduler]
gres = "gpu:acme:{count}"
"""


@dataclass(frozen=True)
class FleetLab:
    """A planted tree, its results, and the cluster that its commands reach."""

    folder: Path
    cluster: Cluster
    patience_s: float = PATIENCE_S
    """How long a command may take."""

    @property
    def tree(self) -> Path:
        """Return the planted tree."""
        return self.folder / "tree"

    @property
    def results(self) -> Path:
        """Return the folder of results."""
        return self.folder / "results"

    def plant(self) -> None:
        """Write the tree, the data and weights, and a home with this machine's environments."""
        shutil.copytree(
            ROOT / "driver",
            self.tree / "driver",
            ignore=shutil.ignore_patterns("__pycache__", "schemas"),
        )
        make_tree(self.tree)
        vendor = self.tree / "vendor_hooks" / "acme" / "vendor.toml"
        vendor.write_text(vendor.read_text(encoding="utf-8") + SCHEDULER, encoding="utf-8")
        for name in ("acme", "reference"):
            write_executable(
                self.tree / "vendor_hooks" / name / "hook", f"#!{sys.executable}\n{HOOK}"
            )
        make_pictures(self.folder / "pictures")
        weights = self.folder / "weights"
        weights.mkdir()
        (weights / "config.json").write_text("{}", encoding="utf-8")
        (weights / "model.safetensors").write_bytes(b"w")
        home = Path(os.environ.get("ASSAY_HOME") or ROOT / ".assay")
        (self.folder / "home").mkdir()
        (self.folder / "home" / "venvs").symlink_to(home / "venvs")
        self._make_python()
        self.settings()

    def _make_python(self) -> None:
        """Make an environment that has what is asked of stacks, by name: the scripted hooks use none of it."""
        home = self.folder / "python"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "python3").symlink_to(sys.executable)
        (home / "pyvenv.cfg").write_text(
            f"home = {Path(sys.executable).parent}\n", encoding="utf-8"
        )
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for name in ("numpy", "PIL", "torch", "onnx", "onnxruntime"):
            package = home / "lib" / version / "site-packages" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("", encoding="utf-8")

    def settings(self, *lines: str, cpus: int = 2) -> None:
        """Write assay.local.toml, with more lines for its table [slurm]; a node has two processors."""
        text = LOCAL.format(python=self.folder / "python", cpus=cpus, more="\n".join(lines))
        (self.tree / "assay.local.toml").write_text(text, encoding="utf-8")

    def contain(self, inside: str) -> list[dict[str, str]]:
        """Have the stages run in containers, whose Python runs the hooks; return the images' labels."""
        text = IN_CONTAINERS.format(inside=inside)
        (self.tree / "assay.local.toml").write_text(text, encoding="utf-8")
        for name in ("acme", "reference"):
            write_executable(self.tree / "vendor_hooks" / name / "hook", f"#!{PYTHON}\n{HOOK}")
        return [
            {
                "assay.vendor": vendor,
                "assay.stack": stack,
                "assay.recipe": recipe_sha256(self.tree / "images" / vendor / stack),
                "assay.base": "none",
            }
            for vendor, stack in (("reference", "ref"), ("acme", "v1"))
        ]

    def behave(self, hook: str = "acme", **stages: str) -> None:
        """Set a hook's behaviour per stage, which makes it another hook with another digest."""
        path = self.tree / "vendor_hooks" / hook / "behaviour.json"
        path.write_text(json.dumps(stages), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit the tree as it is now."""
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", message)):
            self._git(*words)

    def head(self) -> str:
        """Return the tree's commit."""
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *words: str) -> str:
        who = ("-c", "user.name=lab", "-c", "user.email=lab@localhost")
        command = ("git", "-C", str(self.tree), *who, *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of its commands."""
        # With ASSAY_TYPED, which `make test-slurm` has set, advice would be about make.
        dropped = ("ASSAY_LOCKS", "ASSAY_TYPED", "PYTHONPATH")
        own = {name: value for name, value in os.environ.items() if name not in dropped}
        cluster = self.cluster.env
        return (
            own
            | cluster
            # What a test puts into the lab's own folder of programs comes first.
            | {"PATH": f"{self.folder / 'bin'}:{cluster['PATH']}"}
            | {"ASSAY_HOME": str(self.folder / "home"), "OUT": str(self.results)}
        )

    def words(self, *options: str) -> list[str]:
        """Return the command of a sweep of the miniature case on the scheduler."""
        given = {"data": self.folder / "pictures", "weights": self.folder / "weights"}
        named = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        fixed = ("--case", "tiny", "--vendor", "acme", "--runner", "slurm")
        return [str(self.tree / "driver" / "assay"), "sweep", *fixed, *named, *options]

    def sweep(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a sweep to its end."""
        return self.call(*self.words(*options), **env)

    @contextmanager
    def start(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Start a sweep in a session of its own, as a shell does; kill it if the test fails."""
        with subprocess.Popen(
            self.words(*options),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as running:
            try:
                yield running
            except BaseException:
                # Leaving the block waits for its end, which may never come.
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                raise

    def assay(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run another verb."""
        return self.call(str(self.tree / "driver" / "assay"), *words, **env)

    def call(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the lab's environment."""
        return subprocess.run(
            words,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.patience_s,
            check=False,
        )

    def documents(self) -> list[dict[str, object]]:
        """Return every result."""
        return [
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(self.results.glob("tiny/*/*/*/result.json"))
        ]
