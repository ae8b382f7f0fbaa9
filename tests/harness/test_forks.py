"""A fork does what a hook does that hands over to the harness, and no other hook is taken for one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.runners.guard import descendants
from tests.harness.forks import (
    HANDED_OVER,
    SCRIPT_SERVER,
    Fork,
    ForkServer,
    exported_by,
    server_environment,
    server_of,
)
from tests.harness.job_folder import ROOT
from tests.shared import SERVED, VARIABLE
from tests.waiting import wait_gone, wait_until

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import Outcome


def left(outcome: Outcome) -> dict[str, Any]:
    """Return what a stage reported and left that is no measurement."""
    report = outcome.ok
    assert report.engine_process is not None
    return {
        "effective": report.effective,
        "versions": report.versions,
        "warnings": report.warnings,
        "loops": [(one.name, one.clock, one.in_flight) for one in report.measurements],
        "apart": (report.engine_process.separate, report.engine_process.landlock),
        "classes": outcome.npz("predictions.npz")["classes"].tolist(),
        "files": sorted(str(path.relative_to(outcome.out)) for path in outcome.out.rglob("*")),
    }


@pytest.mark.parametrize(
    ("engine", "options"), [("colours", {}), ("enqueue", {"item_ms": 1.0})], ids=["now", "later"]
)
def test_a_fork_leaves_what_the_hook_leaves(
    make_job: MakeJob, engine: str, options: dict[str, float]
) -> None:
    settings: dict[str, Any] = {"engine": engine, "engine_options": options}
    by_hook, forked = (make_job(**settings).with_pictures(10) for _ in range(2))
    assert left(by_hook.run()) == left(forked.run_forked())


def test_a_hook_that_does_more_is_not_forked(make_job: MakeJob, tmp_path: Path) -> None:
    hook = tmp_path / "hook" / "hook"
    hook.parent.mkdir()
    before = 'if [ "$1" = infer ]; then exit 3; fi'
    hook.write_text(f"#!/bin/sh\nset -eu\n{before}\n{HANDED_OVER}\n", encoding="utf-8")
    assert exported_by(hook) is None
    with pytest.raises(AssertionError, match="does more than a fork would"):
        make_job(hook=hook.parent).with_pictures(4).run_forked()


def test_variables_of_a_hook_that_hands_over_are_those_of_the_fork(tmp_path: Path) -> None:
    assert exported_by(ROOT / "vendor_hooks" / "cpu" / "hook") == {}
    assert exported_by(ROOT / "vendor_hooks" / "reference" / "hook") == {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
    }
    assert exported_by(tmp_path / "no hook") is None


def test_a_hook_of_another_interpreter_is_not_forked(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/no-such\nset -eu\n{HANDED_OVER}\n", encoding="utf-8")
    assert exported_by(hook) is None


SLEEPS = "import time\ntime.sleep(600)\n"


def asked(folder: Path, text: str) -> dict[str, object]:
    """Return a request to run a script of this text."""
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    return {
        "script": str(script),
        "arguments": [],
        "path": [],
        "environment": server_environment(Path(sys.executable)),
        "cwd": str(folder),
        "out": str(folder / "out"),
        "err": str(folder / "out"),
    }


@pytest.fixture
def server() -> ForkServer:
    return server_of(Path(sys.executable), SCRIPT_SERVER, "json")


def test_a_fork_is_no_descendant_of_whoever_asked(server: ForkServer, tmp_path: Path) -> None:
    fork = Fork(server.address, asked(tmp_path, SLEEPS))
    assert fork.wait(0.0) is None
    # A runner in this process ends all descendants that it did not start.
    assert fork.pid not in set(descendants(os.getpid(), zombies=True))
    fork.close()
    wait_gone(fork.pid)


def test_many_run_at_once_and_each_has_its_own_status(server: ForkServer, tmp_path: Path) -> None:
    forks = []
    for code in range(5):
        folder = tmp_path / str(code)
        folder.mkdir()
        text = f"import sys, time\ntime.sleep({(5 - code) * 0.05})\nsys.exit({code})\n"
        forks.append(Fork(server.address, asked(folder, text)))
    assert [fork.wait(60.0) for fork in forks] == list(range(5))
    for fork in forks:
        fork.close()


@pytest.mark.parametrize("sent", [b"no request\n", b""])
def test_what_is_no_request_is_nobody_elses_matter(
    server: ForkServer, tmp_path: Path, sent: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.address))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert server.run(asked(tmp_path, "raise SystemExit(7)\n")) == 7


STARTS = """
import json, os, sys
from pathlib import Path
from tests.harness.forks import SCRIPT_SERVER, Fork, server_of
server = server_of(Path(sys.executable), SCRIPT_SERVER, "json")
print(Fork(server.address, json.loads(sys.argv[1])).pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_and_its_forks_end_with_the_test_run(tmp_path: Path) -> None:
    code = f"import os; os.environ[{SERVED!r}] = str(os.getpid())\n{STARTS}"
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="assay-") as shared:
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(asked(tmp_path, SLEEPS))],
            cwd=ROOT,
            env={**os.environ, VARIABLE: shared},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == -9
        wait_gone(int(done.stdout))
        (address,) = Path(shared).glob("*/s")
        wait_until(lambda: not listens(address))


def listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(address)) == 0
