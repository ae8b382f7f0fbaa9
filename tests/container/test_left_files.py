"""What a guest in a container leaves under the names of our files: the same is refused as without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import ContractFault
from driver.models.base import StageName
from driver.results.received import watch
from driver.results.received.left import read_left_report, require_plain
from driver.results.received.watch import OutWatch
from driver.runners.docker import DockerRunner
from driver.system.untrusted.opener import RefusedFile
from tests.container.test_isolation import spec_for
from tests.driver.runners.hooks import nothing

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.container


def out_of(spec: Any) -> Path:
    return Path(str(spec.source("out")))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("mkfifo $2/out/progress.json", "progress.json is a pipe"),
        ("ln -s /dev/zero $2/out/progress.json", "progress.json is a symbolic link"),
        ("head -c 3000000 /dev/zero > $2/out/x", "bytes to its out folder, more than"),
    ],
)
def test_a_stage_that_leaves_it_while_it_runs_is_stopped(
    runner: DockerRunner,
    shell_image: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    said: str,
) -> None:
    monkeypatch.setattr(watch, "USAGE_S", 0.0)
    spec = spec_for(home, shell_image, f"{script}; exec sleep 600")
    watching = OutWatch(out_of(spec), StageName.INFER, 1 << 20, nothing)  # type: ignore[arg-type]
    with pytest.raises(ContractFault, match=said):
        runner.run(spec, log=home / "log", on_tick=watching)


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/shadow $2/out/report.json",
        "mkfifo $2/out/report.json",
        "ln -s /dev/zero $2/out/report.json",
        "echo {} > $2/out/x; ln $2/out/x $2/out/report.json",
    ],
)
def test_a_report_that_is_no_file_of_its_own_is_refused(
    runner: DockerRunner, shell_image: str, home: Path, script: str
) -> None:
    spec = spec_for(home, shell_image, script)
    assert runner.run(spec, log=home / "log", on_tick=nothing).code == 0
    left = read_left_report(out_of(spec))
    assert left.text is None
    assert left.refused is not None
    with pytest.raises(RefusedFile):
        require_plain(out_of(spec))


def test_an_honest_report_of_the_containers_user_is_read(
    runner: DockerRunner, shell_image: str, home: Path
) -> None:
    spec = spec_for(home, shell_image, "echo '{}' > $2/out/report.json")
    runner.run(spec, log=home / "log", on_tick=nothing)
    assert read_left_report(out_of(spec)).text == "{}\n"
    require_plain(out_of(spec))
