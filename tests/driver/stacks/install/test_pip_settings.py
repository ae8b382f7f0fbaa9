"""What of the caller's settings reaches pip: where packages come from, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from driver.stacks.install.pip_settings import PipConfigUnreadable, pip_environment, pip_settings

if TYPE_CHECKING:
    from pathlib import Path

POISON = {
    "target": "/elsewhere",
    "prefix": "/elsewhere",
    "root": "/elsewhere",
    "user": "1",
    "constraint": "/elsewhere/constraints.txt",
    "requirement": "/elsewhere/requirements.txt",
    "require-virtualenv": "1",
    "no-deps": "1",
    "dry-run": "1",
    "no-binary": ":all:",
    "pre": "1",
    "quiet": "3",
    "python": "/elsewhere/python3",
    "platform": "win32",
    "python-version": "2.7",
    "log": "/proc/log",
    "report": "/elsewhere/report.json",
    "use-feature": "fast-deps",
    "use-deprecated": "legacy-resolver",
    "isolated": "1",
}
SOURCES = {
    "index-url": "https://mirror.lab/simple",
    "extra-index-url": "https://a.lab/simple https://b.lab/simple",
    "find-links": "/wheels",
    "trusted-host": "mirror.lab",
    "proxy": "http://proxy.lab:3128",
    "cert": "/lab/ca.pem",
    "client-cert": "/lab/me.pem",
    "timeout": "60",
    "retries": "2",
    "cache-dir": "/big/disk",
    "keyring-provider": "subprocess",
    "use-feature": "truststore",
    "use-deprecated": "legacy-certs",
}


def variable(key: str) -> str:
    return f"PIP_{key.upper().replace('-', '_')}"


def at(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose configuration files would all be below tmp_path; none exists yet."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": str(tmp_path / "xdg"),
        "PIP_CONFIG_FILE": str(tmp_path / "named" / "pip.conf"),
    }


@pytest.mark.parametrize("key", POISON)
def test_what_is_no_source_of_packages_never_reaches_pip(
    env: dict[str, str], tmp_path: Path, key: str
) -> None:
    at(tmp_path / "xdg" / "pip" / "pip.conf", f"[global]\n{key} = {POISON[key]}\n")
    at(tmp_path / "home" / ".config" / "pip" / "pip.conf", f"[download]\n{key} = {POISON[key]}\n")
    given = pip_environment(env | {variable(key): POISON[key]})
    assert variable(key) not in given
    assert given["PIP_CONFIG_FILE"] == os.devnull


@pytest.mark.parametrize("key", SOURCES)
def test_an_index_a_proxy_and_a_certificate_reach_pip_from_either_place(
    env: dict[str, str], tmp_path: Path, key: str
) -> None:
    assert pip_environment(env | {variable(key): SOURCES[key]})[variable(key)] == SOURCES[key]
    at(tmp_path / "home" / ".config" / "pip" / "pip.conf", f"[global]\n{key} = {SOURCES[key]}\n")
    assert pip_environment(env)[variable(key)] == SOURCES[key]


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP"])
def test_no_variable_of_pythons_reaches_pip(env: dict[str, str], name: str) -> None:
    given = pip_environment(env | {name: "/elsewhere", "https_proxy": "http://proxy.lab"})
    assert name not in given
    assert given["https_proxy"] == "http://proxy.lab"


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ({}, False),
        ({"find-links": "/wheels"}, True),
        ({"index-url": "https://mirror.lab/simple"}, False),
        ({"find-links": "/wheels", "extra-index-url": "https://mirror.lab/simple"}, False),
    ],
)
def test_no_index_counts_where_only_find_links_is_configured(
    env: dict[str, str], sources: dict[str, str], kept: bool
) -> None:
    given = {variable(key): value for key, value in sources.items()}
    assert ("no-index" in pip_settings(env | given | {"PIP_NO_INDEX": "1"})) is kept


def test_a_conf_that_is_no_ini_file_is_named(env: dict[str, str], tmp_path: Path) -> None:
    path = at(tmp_path / "xdg" / "pip" / "pip.conf", "index-url = x\n")
    with pytest.raises(PipConfigUnreadable, match=str(path)):
        pip_settings(env)


FILES = {
    "global": ("xdg/pip/pip.conf", "[global]\nindex-url = https://global.lab\ntimeout = 9\n"),
    "legacy": (
        "home/.pip/pip.conf",
        "[global]\nindex_url = https://legacy.lab\nproxy = http://p\n",
    ),
    "user": ("home/.config/pip/pip.conf", "[global]\nindex-url = https://user.lab\ntimeout =\n"),
    "site": ("venv/pip.conf", "[download]\nfind-links =\n    /one\n    /two\n[list]\nproxy = x\n"),
    "named": ("named/pip.conf", "[global]\nINDEX-URL = https://named.lab\n[install]\ncert = /c\n"),
}


@pytest.mark.parametrize(
    "present",
    [
        (),
        ("global",),
        ("global", "user"),
        ("global", "legacy", "user"),
        ("global", "user", "named"),
        ("global", "legacy", "user", "site", "named"),
    ],
)
def test_files_are_read_as_pip_itself_reads_them(
    env: dict[str, str],
    tmp_path: Path,
    present: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in present:
        at(tmp_path / FILES[name][0], FILES[name][1])
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "venv"))
    given = env | {"PIP_RETRIES": "7", "PIP_PROXY": ""}
    assert pip_settings(given) == theirs(given, tmp_path / "venv")


ASK_PIP = """
import json, sys
sys.prefix = sys.argv[1]
from pip._internal.configuration import Configuration
read = Configuration(isolated=False)
read.load()
sections = {"global": {}, "install": {}, "download": {}, ":env:": {}}
for _, found in read.items():
    for name, value in found.items():
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key] = value
print(json.dumps({k: v for found in sections.values() for k, v in found.items() if v}))
"""
"""`pip config list` shows every file's values, not which of them counts."""


def theirs(env: dict[str, str], prefix: Path) -> dict[str, str]:
    """Return what pip itself reads."""
    command = [sys.executable, "-c", ASK_PIP, str(prefix)]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    found = json.loads(said)
    assert isinstance(found, dict)
    found.pop("config-file", None)
    return found
