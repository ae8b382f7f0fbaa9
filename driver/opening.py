"""Open the site of a session: settings, catalog, runner and installer put together for this host."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from driver.containers import Caller
from driver.host import host_facts
from driver.identity import DriverProcess
from driver.installation import open_installer
from driver.runners import RunnerSettings, open_runner
from driver.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog import Catalog
    from driver.events import Listener
    from driver.models.base import RunnerName
    from driver.settings import Settings


@contextmanager
def open_site(
    runner_name: RunnerName, settings: Settings, catalog: Catalog, listener: Listener
) -> Iterator[Site]:
    """Yield a site with a runner that can work here; EnvironmentFault when it cannot."""
    host = host_facts()
    runner_settings = RunnerSettings(home=settings.home, srun_options=settings.slurm_options)
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
        )
