"""Environments of stacks: made once, whole or not at all, with the network off after the fetch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from typing import TYPE_CHECKING

import pytest

from driver.errors import ImageFault
from driver.stacks import environments
from driver.stacks.environments import Environment, prepare_environment, read_environment
from driver.stacks.install.bytecode import link_shared
from driver.stacks.install.uv_install import install
from driver.stacks.installer import holds_stand_in
from driver.system.settings import ROOT
from driver.system.subprocesses import ChildFailed, run_child, run_children
from tests.driver.planted_tree import stock
from tests.driver.wheels import make_wheel, sha256, write_lock
from tests.waiting import PATIENCE_S, wait_for_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.environment

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def prepare(
    folder: Path, home: Path, tell: Callable[[str], None] = lambda _text: None, python: str = OWN
) -> Environment:
    return prepare_environment(
        folder, python=python, home=home, torch_index="https://nowhere.invalid", on_progress=tell
    )


@pytest.fixture
def unfetched(shelf: Path, tmp_path: Path) -> Path:
    """Return a stack whose wheel is on the shelf alone."""
    folder = tmp_path / "images" / "acme" / "acme1.0"
    write_lock(folder / "requirements.lock", make_wheel(shelf, "acme", body="ANSWER = 42\n"))
    return folder


@pytest.fixture
def stack(unfetched: Path, shelf: Path, home: Path) -> Path:
    """Return a stack whose wheel has been fetched: pip's part takes longer than all the rest."""
    stock(home, shelf)
    return unfetched


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home with a blank"


def run_in(environment: Environment, code: str) -> str:
    return run_child([str(environment.python), "-B", "-c", code]).strip()


def test_it_imports_what_the_lock_names(unfetched: Path, home: Path) -> None:
    environment = prepare(unfetched, home)
    assert run_in(environment, "import acme; print(acme.ANSWER)") == "42"
    assert environment.folder == home / "venvs" / f"acme1.0-{environment.lock_sha256[:12]}"


def test_one_that_a_stand_in_was_put_into_is_known_as_that(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    assert not holds_stand_in(environment.folder)
    install = str(ROOT / "tests" / "standins" / "install")
    run_child([sys.executable, install, "ascend", "--python", str(environment.python)])
    assert holds_stand_in(environment.folder)


def test_it_holds_nothing_but_the_lock(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    listed = run_in(
        environment,
        "from importlib.metadata import distributions as d; print(*[x.name for x in d()])",
    )
    assert listed == "acme"


def test_its_provenance_tells_lock_and_wheels_and_no_folder(unfetched: Path, home: Path) -> None:
    provenance = prepare(unfetched, home).provenance()
    (wheel,) = (home / "wheelhouse").glob("*.whl")
    assert provenance["lock_sha256"] == sha256(unfetched / "requirements.lock")
    assert provenance["wheels"] == {wheel.name: sha256(wheel)}
    assert str(home) not in json.dumps(provenance)


def test_the_second_time_nothing_is_done(stack: Path, home: Path) -> None:
    first = prepare(stack, home)
    lines: list[str] = []
    assert prepare(stack, home, lines.append) == first
    assert lines == []


def test_a_changed_lock_gets_an_environment_of_its_own(
    stack: Path, home: Path, shelf: Path
) -> None:
    first = prepare(stack, home)
    write_lock(stack / "requirements.lock", make_wheel(shelf, "acme", "2.0"))
    second = prepare(stack, home)
    assert run_in(second, "import acme; print(acme.VERSION)") == "2.0"
    assert run_in(first, "import acme; print(acme.VERSION)") == "1.0"


def test_two_stacks_share_the_bytes_of_a_wheel(unfetched: Path, home: Path) -> None:
    other = unfetched.with_name("acme2.0")
    write_lock(other / "requirements.lock", *sorted((home.parent / "shelf").glob("*.whl")))
    module = f"lib/python{OWN}/site-packages/acme/__init__.py"
    first, second = prepare(unfetched, home).folder, prepare(other, home).folder
    assert (first / module).samefile(second / module)


def test_byte_code_is_there_before_the_first_run(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    (compiled,) = environment.folder.glob("lib/*/site-packages/acme/__pycache__/*.pyc")
    said = run_in(environment, "import acme, os; print(acme.__cached__)")
    assert said == str(compiled)


def test_byte_code_is_linked_only_where_the_source_is_the_same(tmp_path: Path) -> None:
    done, site = tmp_path / "done", tmp_path / "site"
    for folder in (done / "p" / "__pycache__", site / "p"):
        folder.mkdir(parents=True)
    for name in ("shared", "other"):
        (done / "p" / f"{name}.py").write_text("x = 1\n", encoding="utf-8")
        (done / "p" / "__pycache__" / f"{name}.cpython-311.pyc").write_bytes(b"code")
    (site / "p" / "shared.py").hardlink_to(done / "p" / "shared.py")
    (site / "p" / "other.py").write_text("x = 2\n", encoding="utf-8")
    assert link_shared(done, site) == 1
    assert [path.name for path in site.glob("p/__pycache__/*")] == ["shared.cpython-311.pyc"]


@pytest.mark.parametrize("moment", ["fetching", "installing", "compiling"])
def test_an_interrupted_one_does_not_count_as_done(
    unfetched: Path, home: Path, moment: str
) -> None:
    def interrupt(text: str) -> None:
        if text.startswith(moment):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(unfetched, home, interrupt)
    assert not [path for path in (home / "venvs").iterdir() if path.is_dir()]
    assert run_in(prepare(unfetched, home), "import acme; print(acme.ANSWER)") == "42"


def test_one_that_was_killed_half_way_is_made_anew(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    (environment.folder / "assay.json").unlink()
    (module,) = environment.folder.glob("lib/*/site-packages/acme/__init__.py")
    module.unlink()
    assert run_in(prepare(stack, home), "import acme; print(acme.ANSWER)") == "42"


def test_one_whose_python_is_gone_is_made_anew(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    for name in ("python", "python3"):
        (environment.bin_dir / name).unlink()
    (environment.bin_dir / "python").symlink_to("/no/such/python")
    (environment.bin_dir / "python3").symlink_to("python")
    assert read_environment(environment.folder) is None
    assert run_in(prepare(stack, home), "import acme; print(acme.ANSWER)") == "42"


def test_one_that_was_moved_does_not_count(stack: Path, home: Path) -> None:
    environment = prepare(stack, home)
    moved = environment.folder.rename(home / "venvs" / "elsewhere")
    assert read_environment(moved) is None


def test_another_path_to_the_same_home_finds_it(stack: Path, home: Path) -> None:
    """A link to the home, or a home on a path with a link in it: nothing was moved."""
    environment = prepare(stack, home)
    link = home.with_name("link")
    link.symlink_to(home)
    assert prepare(stack, link) == environment
    assert read_environment(environment.folder) == environment


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"folder": 1}', "null"])
def test_a_damaged_stamp_does_not_count(stack: Path, home: Path, stamp: str) -> None:
    environment = prepare(stack, home)
    (environment.folder / "assay.json").write_text(stamp, encoding="utf-8")
    assert read_environment(environment.folder) is None


def test_a_python_that_is_not_there_is_named_with_both_ways_out(stack: Path, home: Path) -> None:
    with pytest.raises(ImageFault, match=r"Python 3\.99") as caught:
        prepare(stack, home, python="3.99")
    assert "RUNNER=docker" in caught.value.remedy


def test_two_at_once_make_it_once(unfetched: Path, home: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from driver.stacks.environments import prepare_environment
        e = prepare_environment(Path(sys.argv[1]), python="{OWN}", home=Path(sys.argv[2]),
                                torch_index="https://nowhere.invalid", on_progress=print)
        print("DONE", e.folder.name)
    """)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(unfetched), str(home)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=PATIENCE_S)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("installing" in text for text in said) == 1
    assert all("DONE acme1.0-" in text for text in said)


def test_a_child_ends_with_us(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = f"echo $$ > {pid_file}; exec sleep 600"
    script = (
        f"from driver.system.subprocesses import run_child\nrun_child(['sh', '-c', {command!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as parent:
        try:
            pid = int(wait_for_line(pid_file))
            parent.send_signal(signal.SIGINT)
            parent.wait(timeout=PATIENCE_S)
        finally:
            parent.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_failed_childs_reason_is_its_error_lines() -> None:
    with pytest.raises(ChildFailed) as caught:
        run_child(["sh", "-c", "echo fine; echo ERROR: no disk; echo bye; exit 4"])
    assert caught.value.returncode == 4
    assert caught.value.tail == "ERROR: no disk"


def test_lines_are_handed_over_as_they_come() -> None:
    lines: list[str] = []
    output = run_child(["sh", "-c", "echo one; echo two >&2"], on_line=lines.append)
    assert sorted(lines) == ["one", "two"]
    assert sorted(output.split()) == ["one", "two"]


def test_one_that_lacks_a_module_of_its_lock_is_not_kept(
    stack: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(uv: str, lock: Path, folder: Path, home: Path) -> None:
        install(uv, lock, folder, home)
        (module,) = folder.glob("lib/*/site-packages/acme/__init__.py")
        module.unlink()

    monkeypatch.setattr(environments, "install", half)
    with pytest.raises(ImageFault, match="was installed and lacks acme"):
        prepare(stack, home)
    assert not [path for path in (home / "venvs").iterdir() if path.is_dir()]


def test_modules_that_no_guest_imports_have_no_byte_code(
    stack: Path, home: Path, shelf: Path
) -> None:
    """Two libraries of models: one is imported, the others' byte code is for nobody."""
    wheel = make_wheel(shelf, "transformers", body="ANSWER = 1\n")
    with zipfile.ZipFile(wheel, "a") as archive:
        for name in ("models/auto/auto.py", "models/vit/vit.py", "tests/test_vit.py"):
            archive.writestr(f"transformers/{name}", "ANSWER = 2\n")
    write_lock(stack / "requirements.lock", wheel)
    site = next(prepare(stack, home).folder.glob("lib/*/site-packages"))
    assert sorted(path.name.partition(".")[0] for path in site.rglob("*.pyc")) == [
        "__init__",
        "auto",
    ]


def test_a_file_that_is_not_python_of_this_version_spoils_no_other(
    stack: Path, home: Path, shelf: Path
) -> None:
    wheel = make_wheel(shelf, "old", body="ANSWER = 1\n")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("old/a_template.py", "print '{{name}}'\n")
        archive.writestr("old/null.py", "\0")
        archive.writestr("old/z.py", "ANSWER = 3\n")
    write_lock(stack / "requirements.lock", wheel)
    site = next(prepare(stack, home).folder.glob("lib/*/site-packages"))
    assert len(list(site.rglob("*.pyc"))) == 2


def test_several_children_run_side_by_side_and_each_says_how_it_ended() -> None:
    printed: list[str] = []
    meet = "while [ ! -e {0} ]; do sleep 0.02; done"
    with tempfile.TemporaryDirectory() as folder:
        one, two = f"{folder}/one", f"{folder}/two"
        first = ["sh", "-c", f"touch {one}; {meet.format(two)}; echo first"]
        second = ["sh", "-c", f"touch {two}; {meet.format(one)}; echo ERROR: second; exit 5"]
        failed = run_children([first, second], on_line=printed.append)
    assert failed[0] is None
    assert failed[1] is not None
    assert (failed[1].returncode, failed[1].tail) == (5, "ERROR: second")
    assert sorted(printed) == ["ERROR: second", "first"]


def test_all_children_end_with_us(tmp_path: Path) -> None:
    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    commands = [
        ["sh", "-c", f"echo $$ > {tmp_path}/{name}; echo here; exec sleep 600"] for name in "ab"
    ]
    with pytest.raises(KeyboardInterrupt):
        run_children(commands, on_line=interrupt)
    pids = [int(path.read_text()) for path in tmp_path.iterdir() if path.read_text().strip()]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
