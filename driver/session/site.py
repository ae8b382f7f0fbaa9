"""The parts of a session on this host, assembled once and passed down."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.runners import RunnerSettings, open_runner
from driver.runners.remote.facts import describe_engine_host, facts_of
from driver.runners.spec import Caller
from driver.stacks.installer import open_installer
from driver.system.driver_process import DriverProcess
from driver.system.host.machine import host_facts
from driver.system.settings import require_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from driver.catalog.catalog import Catalog
    from driver.events import Listener
    from driver.models.base import Failure, RunnerName
    from driver.runners.base import Runner
    from driver.stacks.installer import Installer
    from driver.system.host.machine import HostFacts
    from driver.system.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Site:
    """Settings, catalog and host facts, with the runner, installer and listener that use them."""

    settings: Settings
    catalog: Catalog
    host: HostFacts
    caller: Caller
    runner: Runner
    installer: Installer
    listener: Listener
    interruption: Callable[[], Failure | None] = lambda: None
    """Why the driver was interrupted, where that was not the user: a scheduler may end it too."""
    described: Mapping[str, object] | None = None
    """The other host that runs the stages, for the result; None for this one."""


@contextmanager
def open_site(
    runner_name: RunnerName,
    settings: Settings,
    catalog: Catalog,
    listener: Listener,
    *,
    elsewhere: bool = False,
) -> Iterator[Site]:
    """Yield a site; whether its runner is available is checked for each job, after its device.

    ``elsewhere``: jobs are planned for the host that HOST names. Raises UsageFault where they are not.
    """
    if not elsewhere:
        require_here(settings)
    described = None if settings.host is None else describe_engine_host(settings.host)
    host = host_facts() if described is None else facts_of(described)
    runner_settings = RunnerSettings(
        home=settings.home, srun_options=settings.slurm_options, host=settings.host
    )
    with open_runner(runner_name, runner_settings) as runner:
        yield Site(
            settings=settings,
            catalog=catalog,
            host=host,
            caller=Caller(
                uid=os.getuid(),
                gid=os.getgid(),
                memory_bytes=host.memory_bytes,
                home=settings.home,
                process=DriverProcess.current(),
            ),
            runner=runner,
            installer=open_installer(runner_name, settings, listener),
            listener=listener,
            described=described,
        )
