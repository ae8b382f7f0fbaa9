"""A container engine that is killed in the middle of any stage: the host's fault, with a result and nothing left.

The engine is one of its own, with a data root and a socket of its own, so only root can run this.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from driver.models.base import FailureKind, StageName
from driver.runners.docker import DockerRunner
from driver.runners.engine.archives import read_image, write_images
from driver.runners.engine.client import connect
from driver.runners.spec import InstalledStack
from driver.session.result import exit_code
from driver.stacks.installer import Installation
from tests.driver.miniature import write_executable
from tests.driver.session.scripted_runner import HOOK
from tests.driver.session.test_run import Lab, nothing_left
from tests.waiting import wait_gone, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from driver.catalog.vendor import Stack
    from driver.session.site import Site

pytestmark = [
    pytest.mark.container,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a container engine"),
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="dockerd is not installed"),
]


class Dockerd:
    """A Docker engine that a test may kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        # In a network of its own: without a bridge, it would remove that of the machine's own engine.
        self._command = [
            *("unshare", "--net", "dockerd"),
            *("--host", self.host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/run"),
            *("--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false"),
        ]
        self._log = folder / "log"
        self._containerd = folder / "run" / "containerd" / "containerd.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers)

    def kill(self) -> None:
        """End it as the kernel would, and its containerd, as it has asked the kernel to."""
        assert self._process is not None
        containerd = int(self._containerd.read_text())
        self._process.kill()
        self._process.wait()
        with suppress(ProcessLookupError):
            os.kill(containerd, signal.SIGKILL)
        wait_gone(containerd)
        self._containerd.unlink(missing_ok=True)

    def stop(self) -> None:
        """End it in order, with its containers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def remove(self) -> None:
        """Remove its folder, with the mounts and shims that a killed engine left."""
        self.stop()
        for shim in running(f"{self._folder}/"):
            with suppress(ProcessLookupError):
                os.kill(shim, signal.SIGKILL)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in reversed([path for path in mounted if path.startswith(f"{self._folder}/")]):
            subprocess.run(["umount", "--lazy", path], check=False)
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.skip(f"no second engine starts here: {self._log.read_text()[-500:]}")
        with suppress(EnvironmentFault):
            client = connect()
            client.close()
            return True
        return False


def running(words: str) -> list[int]:
    """Return the processes that have ``words`` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


class InImages:
    """Installs nothing: every stack is one image."""

    disk = Path("/")

    def __init__(self, image: str) -> None:
        self._image = image

    def install(self, _: Stack) -> Installation:
        return Installation(stack=InstalledStack(image=self._image), provenance={"kind": "test"})

    def ahead(self, _stacks: Sequence[Stack]) -> AbstractContextManager[None]:
        return nullcontext()

    def room(self, _: Stack) -> dict[Path, int]:
        return {}


class DockerLab(Lab):
    """A miniature tree whose hooks run in containers."""

    def __init__(self, root: Path, image: str) -> None:
        super().__init__(root)
        for name in ("acme", "reference"):
            hook = self.root / "vendor_hooks" / name / "hook"
            write_executable(hook, f"#!/usr/bin/env python3\n{HOOK}")
        self._image = image
        self.runner = DockerRunner(home=self.settings.home, grace_s=0.2)

    def site(self) -> Site:
        return replace(
            super().site(),
            runner=self.runner,
            installer=InImages(self._image),
        )


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    tags = sorted(tag for one in engine.images.list() for tag in one.tags if "assay/base" in tag)
    if not tags:
        pytest.skip("assay/base is not on this machine: type `make images VENDOR=cpu`")
    return str(tags[0])


@pytest.fixture(scope="module")
def dockerd(engine: Any, image: str) -> Iterator[Dockerd]:
    # Not below pytest's folder, whose path is longer than a socket's may be, and whose clean-up knows no mounts.
    found = Dockerd(Path(tempfile.mkdtemp(prefix="assay-dockerd-")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", found.host)
        try:
            found.start()
            client = connect()
            write_images(client, read_image(engine, image))
            client.close()
            yield found
        finally:
            found.remove()


@pytest.fixture
def lab(dockerd: Dockerd, image: str, tmp_path: Path) -> Iterator[DockerLab]:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    made = DockerLab(tmp_path, image)
    with made.runner:
        yield made


def guests(client: Any) -> list[int]:
    found = [client.api.inspect_container(one["Id"]) for one in client.api.containers()]
    return [one["State"]["Pid"] for one in found]


# The SDK leaves the socket of a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("stage", list(StageName))
def test_an_engine_that_is_killed_is_the_hosts_fault_in_every_stage(
    dockerd: Dockerd, lab: DockerLab, stage: StageName
) -> None:
    lab.behave(**{stage: "hang"})
    lab.behave("reference", **{stage: "hang"})
    seen: list[int] = []

    def kill() -> None:
        work = lab.settings.home / "work"
        wait_until(lambda: bool(list(work.glob(f"*/{stage}-0/out/hanging"))))
        client = connect()
        seen.extend(guests(client))
        client.close()
        dockerd.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        finished = lab.run()
        killer.join()
        assert len(seen) == 1
        # Before an engine is back, which would end them.
        wait_gone(*seen)
    finally:
        killer.join()
        dockerd.start()
    result = finished.result
    assert result.failure is not None
    assert (result.failure.kind, result.failure.stage) == (FailureKind.HOST, stage)
    assert exit_code(result) == 3
    # Which one depends on whether the driver waits for an answer at that moment, or asks after it.
    assert re.search("no Docker engine answers|engine ended, or cut", result.failure.message)
    assert json.loads((finished.folder / "result.json").read_text())["status"] == "failed"
    assert nothing_left(lab)
    gc.collect()
