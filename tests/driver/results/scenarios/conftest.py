"""LoadGen's genuine logs of every scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.models.job import SCENARIOS
from tests.driver.results.scenarios.genuine import run_scenario

if TYPE_CHECKING:
    from tests.driver.results.scenarios.genuine import Genuine


@pytest.fixture(scope="session", params=SCENARIOS)
def genuine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Genuine:
    """Return a run of each scenario."""
    return run_scenario(request.param, tmp_path_factory.mktemp(request.param))
