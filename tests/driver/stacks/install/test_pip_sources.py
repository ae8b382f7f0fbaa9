"""An index, a proxy and a certificate out of pip's own configuration are those that are used."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from driver.errors import ImageFault
from driver.stacks.environments import prepare_environment
from driver.stacks.locks import parse_lock, target_of
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.subprocesses import run_child
from tests.driver.wheels import make_wheel, write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.environment

OWN = f"3.{sys.version_info.minor}"
SETTINGS = {
    "TARGET": "/elsewhere",
    "PREFIX": "/elsewhere",
    "USER": "1",
    "REQUIRE_VIRTUALENV": "1",
    "NO_DEPS": "1",
    "DRY_RUN": "1",
    "CONSTRAINT": "/elsewhere/constraints.txt",
}


class Index(SimpleHTTPRequestHandler):
    """Serves a folder, also as a proxy that answers for every host; keeps what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.path = urlsplit(self.path).path
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[tuple[int, list[str]]]:
    """Serve a folder on this machine; yield the port, and the paths that are asked for."""
    asked: list[str] = []
    handler = type("Here", (Index,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock of one package, which only the folder ``index`` has."""
    wheel = make_wheel(tmp_path / "index" / "simple" / "acme", "acme")
    return write_lock(tmp_path / "stack" / "requirements.lock", wheel)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the pip.conf that counts; nothing else configures pip."""
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "none"))
    return tmp_path / "pip.conf"


def fetched(lock: Path, home: Path) -> list[str]:
    wheels = Wheelhouse(home).fill(
        parse_lock(lock),
        target_of(OWN),
        torch_index="https://nowhere.invalid",
        on_progress=lambda _text: None,
    )
    return list(wheels)


def test_the_index_of_pip_conf_is_asked(lock: Path, configure: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "index") as (port, asked):
        configure.write_text(f"[global]\nindex-url = http://127.0.0.1:{port}/simple\n")
        assert fetched(lock, tmp_path / "home") == ["acme"]
    assert asked[0] == "/simple/acme/"


def test_the_proxy_of_pip_conf_is_asked(lock: Path, configure: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "index") as (port, asked):
        configure.write_text(
            "[global]\nindex-url = http://mirror.invalid/simple\ntrusted-host = mirror.invalid\n"
            f"proxy = http://127.0.0.1:{port}\n"
        )
        assert fetched(lock, tmp_path / "home") == ["acme"]
    assert asked[0] == "http://mirror.invalid/simple/acme/"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_the_certificate_of_pip_conf_is_trusted_and_no_other(
    lock: Path, configure: Path, tmp_path: Path
) -> None:
    certificate = tmp_path / "lab.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(certificate), "-out", str(tmp_path / "ca.pem")),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "ca.pem").read_bytes())
    with serving(tmp_path / "index", certificate) as (port, _asked):
        index = f"[global]\nindex-url = https://127.0.0.1:{port}/simple\nretries = 0\n"
        configure.write_text(index)
        with pytest.raises(ImageFault, match="could not fetch acme"):
            fetched(lock, tmp_path / "home")
        configure.write_text(f"{index}cert = {tmp_path / 'ca.pem'}\n")
        assert fetched(lock, tmp_path / "home") == ["acme"]


def test_what_is_no_source_does_not_touch_a_stacks_environment(
    lock: Path, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once: an environment that heeds one of them is not whole."""
    shutil.copy(next(tmp_path.glob("index/simple/acme/*.whl")), shelf)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for variable in ("PYTHONUSERBASE", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(variable, str(tmp_path / "hostile"))
    made = prepare_environment(
        lock.parent,
        python=OWN,
        home=tmp_path / "home",
        torch_index="https://nowhere.invalid",
        on_progress=lambda _text: None,
    )
    said = run_child([str(made.python), "-I", "-c", "import acme; print(acme.VERSION)"])
    assert said.strip() == "1.0"
