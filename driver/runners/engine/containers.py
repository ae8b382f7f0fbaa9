"""The containers of one ASSAY_HOME on an engine, and those among them that nobody owns any more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from driver.runners.engine.client import engine_faults, engine_refusal
from driver.system.driver_process import DriverProcess

LABEL_PREFIX = "assay.driver-"


def reap_containers(client: Any, home: Path) -> list[str]:
    """Remove containers of this home whose driver is certainly dead; return their names.

    Containers of live drivers, of other homes, and of drivers that cannot be checked from here
    (another host or pid namespace on the same engine) are kept.
    """
    reaped = []
    for found in _containers(client, home):
        owner = _owner(found["Labels"])
        if owner is None or not owner.is_dead():
            continue
        with suppress(engine_refusal()):
            client.api.remove_container(found["Id"], force=True, v=True)
            reaped.append(_name(found))
    return reaped


def containers_of(client: Any, home: Path) -> dict[str, tuple[Path, ...]]:
    """Return this home's containers, running or not, by name, each with the host's paths that it mounts."""
    return {
        _name(found): tuple(
            Path(mount["Source"]) for mount in found.get("Mounts") or [] if mount.get("Source")
        )
        for found in _containers(client, home)
    }


def _containers(client: Any, home: Path) -> list[dict[str, Any]]:
    with engine_faults():
        return list(client.api.containers(all=True, filters={"label": f"assay.home={home}"}))


def _name(found: dict[str, Any]) -> str:
    return str(found["Names"][0]).removeprefix("/")


def _owner(labels: dict[str, str]) -> DriverProcess | None:
    values = {
        name.removeprefix(LABEL_PREFIX): value
        for name, value in labels.items()
        if name.startswith(LABEL_PREFIX)
    }
    try:
        return DriverProcess.from_dict(values)
    except (KeyError, ValueError):
        return None


def reap_volumes(client: Any, home: Path, *, content: bool = False) -> list[str]:
    """Remove volumes of this home whose driver is certainly dead, and with ``content`` the kept ones.

    Returns their names. A volume that a container uses is kept.
    """
    reaped = []
    with engine_faults():
        found = client.api.volumes(filters={"label": f"assay.home={home}"})["Volumes"] or []
    for volume in found:
        labels = volume["Labels"] or {}
        owner = _owner(labels)
        if not (owner.is_dead() if owner is not None else content and "assay.content" in labels):
            continue
        with suppress(engine_refusal()):
            client.api.remove_volume(volume["Name"])
            reaped.append(str(volume["Name"]))
    return reaped
