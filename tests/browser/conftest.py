"""Headless Chromium with the network off, and the report opened in it from disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from driver.report.build import ReportFiles, ReportOptions, report
from tests.browser.program import chromium_program
from tests.driver.published_figure import FIGURE_OF_000
from tests.driver.report.conftest import make_tree
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

READY = "html[data-filled=true][data-drawn=true]"
"""All rows are in the tables, all charts are drawn."""


@dataclass
class Opened:
    """The report in a page, with its requests and errors."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    # Chromium.s sandbox needs a normal user, but tests in a container often run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    folder = tmp_path_factory.mktemp("browser")
    options = ReportOptions(out=folder / "out", published=(FIGURE_OF_000,))
    return report([make_tree(folder / "results")], options)


@pytest.fixture
def show(chromium: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file from disk, offline, in a window of the given width and colour scheme."""
    contexts = []

    def opened(path: Path, *, width: int = 1440, dark: bool = False) -> Opened:
        context = chromium.new_context(
            offline=True,
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": 900},
        )
        contexts.append(context)
        seen = Opened(page=context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("console", lambda message: seen.errors.append(message.text))
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("dialog", lambda dialog: seen.errors.append(f"dialog {dialog.message}"))
        seen.page.goto(path.as_uri())
        seen.page.set_default_timeout(1000 * PATIENCE_S)
        seen.page.wait_for_selector(READY)
        return seen

    yield opened
    for context in contexts:
        context.close()
