"""Takes screenshots of a report: `python -m tests.browser.screenshot REPORT.html FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.program import chromium_program

VIEWS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light")}
READY = "html[data-filled=true][data-drawn=true]"


def main(report: Path, folder: Path) -> None:
    """Write the top and the charts of the page, in light, dark and at a phone's width, as PNG."""
    program = chromium_program()
    if program is None:
        sys.exit("no Chromium here; type: apt-get install chromium-headless-shell")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        for name, (width, scheme) in VIEWS.items():
            page = browser.new_page(
                viewport={"width": width, "height": 860},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(report.absolute().as_uri())
            page.wait_for_selector(READY)
            page.screenshot(path=folder / f"report-{name}.png")
            page.evaluate("document.getElementById('charts').scrollIntoView()")
            page.screenshot(path=folder / f"report-{name}-charts.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
