"""What another host's engine says of its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.runners.engine.client import connect, engine_faults
from driver.runners.engine.traits import read_traits
from driver.system.host.machine import HostFacts

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe_engine_host(name: str) -> dict[str, object]:
    """Return the facts of the host ``name`` for a result; EnvironmentFault if its engine does not answer.

    None for what no engine tells: the processor's model and flags, its governor and its load.
    """
    client = connect()
    try:
        with engine_faults():
            info = client.info()
        traits = read_traits(client)
    finally:
        client.close()
    return {
        "name": name,
        "engine": traits.title,
        "own_name": info.get("Name"),
        "cpu": None,
        "cpu_flags": [],
        "threads": info.get("NCPU") or 1,
        "memory_bytes": info.get("MemTotal") or 0,
        "kernel": info.get("KernelVersion"),
        "machine": info.get("Architecture"),
        "os": info.get("OperatingSystem"),
    }


def facts_of(described: Mapping[str, object]) -> HostFacts:
    """Return of them what the plan needs."""
    return HostFacts.model_validate(
        {"threads": described["threads"], "memory_bytes": described["memory_bytes"]}
    )
