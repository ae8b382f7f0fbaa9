"""The connection to a container engine, and its errors as ours. The only module that knows the Docker SDK."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from driver.errors import (
    AssayError,
    ContractFault,
    EnvironmentFault,
    ImageFault,
    stages_in,
)
from driver.runners.engine.tunnel import tunnel_to
from driver.system.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from driver.system.settings import EngineHost

DEFAULT_HOST = "unix:///var/run/docker.sock"
ROOTS_PODMAN = "unix:///run/podman/podman.sock"
NO_INIT = re.compile(
    r'exec: "[^"]*(docker-init|tini|catatonit)"|container-init binary not found', re.IGNORECASE
)
"""Messages of Docker and Podman when the init program for `Init` is not installed."""
CUT = re.compile(
    "Connection (aborted|broken|reset)|Broken pipe|Remote end closed|Incomplete ?Read",
    re.IGNORECASE,
)
"""Messages about an engine that ended before it had answered, as sockets, http.client and urllib3 put it."""


class NoInitError(EnvironmentFault):
    """The engine has no init program (docker-init, catatonit) installed."""


def other_way() -> str:
    """Return the end of a remedy: what needs no container engine."""
    return f"or use {stages_in('process')}, which needs no container engine"


def connect() -> Any:  # docker.DockerClient; the SDK has no types
    """Return a client of the engine that DOCKER_HOST selects, or of the first that answers here.

    Raises EnvironmentFault when the SDK is missing or no engine answers.
    """
    try:
        # Imported late: it takes 0.17 s, which only container runs should pay.
        import docker  # type: ignore[import-untyped]
    except ImportError as error:
        raise EnvironmentFault(
            f"the Docker SDK for Python cannot be imported: {error}",
            f"remove {sys.prefix} and run again, which makes it anew, {other_way()}",
        ) from error
    host = load_settings().engine_host
    if host is not None:
        return _connect_to(host)
    address = _answering(engine_addresses(os.environ, is_root=os.geteuid() == 0))
    try:
        return docker.from_env(environment=dict(os.environ) | {"DOCKER_HOST": address})
    except docker.errors.DockerException as error:
        raise unreachable(str(error)) from error


def _connect_to(host: EngineHost) -> Any:
    """Return a client of a named host's engine."""
    import docker

    url = tunnel_to(host.docker).address if host.docker.startswith("ssh://") else host.docker
    try:
        tls = host.cert and docker.tls.TLSConfig(
            client_cert=(str(host.cert), str(host.key)),
            ca_cert=str(host.ca) if host.ca else None,
            verify=True,
        )
        client = docker.DockerClient(base_url=url, tls=tls or False)
        client.ping()
    except engine_errors() as error:
        raise EnvironmentFault(
            f"the engine of {host.name} ({host.docker}) does not answer: {error}",
            f"see that a container engine runs there: {host.look}",
        ) from error
    return client


def engine_addresses(environ: Mapping[str, str], *, is_root: bool) -> tuple[str, ...]:
    """Return where an engine may answer, in the order of asking: DOCKER_HOST alone where it is set.

    Else Docker's own socket, this user's rootless Docker and Podman, and root's Podman.
    """
    if environ.get("DOCKER_HOST"):
        return (environ["DOCKER_HOST"],)
    folder = environ.get("XDG_RUNTIME_DIR")
    own = (f"unix://{folder}/docker.sock", f"unix://{folder}/podman/podman.sock") if folder else ()
    system = (ROOTS_PODMAN,) if is_root else ()
    return (DEFAULT_HOST, *own, *system)


def _answering(addresses: Sequence[str]) -> str:
    """Return the first address that answers; raises EnvironmentFault about the first if none does."""
    faults = []
    for address in addresses:
        fault = _knock(address)
        if fault is None:
            return address
        faults.append(fault)
    raise faults[0]


def _knock(host: str) -> EnvironmentFault | None:
    """Open and close the engine's socket: its errors are clearer than the SDK's."""
    kind, _, path = host.partition("://")
    if kind != "unix":
        return None
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(path)
        except OSError as error:
            # One that Python finds has no number, and its text as its only argument.
            return unreachable(f"{path}: {error.strerror or error}")
    return None


def unreachable(reason: str) -> EnvironmentFault:
    """Return the error for an engine that does not answer, with the usual remedy."""
    if "Permission denied" in reason:
        return EnvironmentFault(
            f"this user may not open the Docker engine's socket ({reason})",
            f"type: sudo usermod -aG docker $USER, and log in again, {other_way()}",
        )
    if "path too long" in reason:
        return EnvironmentFault(
            f"the system takes no socket at a path as long as that of DOCKER_HOST ({reason})",
            "link to it from a shorter path, and name that: ln -s <socket> /run/engine.sock, "
            f"DOCKER_HOST=unix:///run/engine.sock, {other_way()}",
        )
    if "podman" in reason:
        return EnvironmentFault(
            f"Podman does not answer ({reason})",
            "type: systemctl --user start podman.socket (without systemd: podman system service "
            f"--time 0 &), {other_way()}",
        )
    if "Connection refused" in reason or "No such file" in reason:
        return EnvironmentFault(
            f"no Docker engine answers on this machine ({reason})",
            f"type: sudo systemctl start docker (or set DOCKER_HOST), {other_way()}",
        )
    if CUT.search(reason):
        return EnvironmentFault(
            f"the container engine ended, or cut the connection, before it had answered ({reason})",
            "where it runs, type: journalctl --unit docker (or podman), and start it again; then "
            f"repeat the command, {other_way()}",
        )
    return EnvironmentFault(
        f"the container engine cannot be used: {reason}", f"type: docker info, {other_way()}"
    )


@contextmanager
def engine_faults(but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn the SDK's errors into ours, with kind and remedy; errors of the types ``but`` stay."""
    import docker

    try:
        yield
    except but:
        raise
    except docker.errors.ImageNotFound as error:
        raise ImageFault(
            f"the stage's image is not on this machine: {error.explanation}",
            "type: make images, or `docker load` where there is no network",
        ) from error
    except docker.errors.APIError as error:
        raise _refused(str(error.explanation or error)) from error
    except engine_errors() as error:
        raise unreachable(str(error)) from error


def engine_errors() -> tuple[type[Exception], ...]:
    """Return what the SDK raises for an engine that refuses, is gone, or stops in the middle of an answer."""
    import docker
    from urllib3.exceptions import HTTPError

    return docker.errors.DockerException, HTTPError, OSError


def not_found() -> type[Exception]:
    """Return what the SDK raises for a container, a volume or a path that is not there."""
    import docker

    missing: type[Exception] = docker.errors.NotFound
    return missing


def engine_refusal() -> type[Exception]:
    """Return what the SDK raises for an engine that answers no."""
    import docker

    refusal: type[Exception] = docker.errors.APIError
    return refusal


def cannot_execute(said: str) -> ContractFault:
    """Return the error for a hook that the image has no program for."""
    return ContractFault(
        f"the image cannot execute the hook: {said}",
        "start the hook with the path of a program in the image, such as #!/bin/sh",
    )


def _refused(explanation: str) -> AssayError:
    if NO_INIT.search(explanation):
        return NoInitError(
            f"the engine has no init program: {explanation}",
            f"install docker-init (tini), {other_way()}",
        )
    if 'exec: "' in explanation:
        return cannot_execute(explanation)
    if "could not select device driver" in explanation or "CDI device" in explanation:
        return EnvironmentFault(
            f"the engine cannot give the container its devices: {explanation}",
            "install the vendor's container toolkit (for NVIDIA: nvidia-container-toolkit, then "
            "`sudo nvidia-ctk runtime configure` or `nvidia-ctk cdi generate`)",
        )
    return EnvironmentFault(
        f"the container engine refused the container: {explanation}",
        f"check `docker info` and the engine's log, {other_way()}",
    )
