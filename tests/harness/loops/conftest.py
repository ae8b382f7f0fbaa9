"""The virtual clock, as the harness's own, for every test that asks for it."""

from __future__ import annotations

import pytest

from tests.harness.loops.virtual_device import VirtualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock().install(monkeypatch)
