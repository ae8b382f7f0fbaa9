"""The HTML file: data, styles, scripts and chart library in one, with a policy that forbids requests."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from driver.report.assets import chart_library
from driver.report.chinese import CHART_TITLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from driver.report.details.chunks import Chunks

FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    *("rows.js", "details.js", "tables.js", "charts.js", "limits.js", "trend.js", "main.js"),
)
PACKED_TYPE = "application/gzip;base64"


def page_of(
    data: Mapping[str, Any], facts: Sequence[tuple[str, str]], notices: Sequence[str]
) -> Callable[[Chunks], str]:
    """Return what renders the page with details; its length without any tells the room that they have.

    ``facts`` are the figures in its head, ``notices`` the lines below them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    library, script = chart_library(), page_script()
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined
    )
    render = partial(
        environment.get_template("page.html.j2").render,
        policy=_policy((library, script)),
        style=Markup(_text("page.css")),  # our own file
        library=Markup(library),  # pinned by sha256
        script=Markup(script),  # our own files
        data=Markup(_inert_json(data)),  # every "<" is escaped
        packed_type=PACKED_TYPE,
        facts=facts,
        notices=notices,
        language=data["language"],
        charts=CHART_TITLES,
        t=lambda text: data["words"].get(text, text),
    )
    # base64 needs no escape
    return lambda chunks: render(
        chunks=[Markup(text) for text in chunks.packed], starts=chunks.starts
    )


def page_script() -> str:
    """Return the page's own script: the files of SCRIPTS, in order, in one function scope."""
    return '(() => {\n"use strict";\n' + "\n".join(map(_text, SCRIPTS)) + "\n})();\n"


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy that runs only these scripts and allows no request.

    Inline styles are allowed because the chart library sets them on its elements; with every source
    closed they cannot request anything either.
    """
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _inert_json(data: Mapping[str, Any]) -> str:
    """Return JSON that cannot close its script element, whatever text it contains.

    What was computed of one odd result may be infinite, which becomes null.
    """
    text = msgspec.json.encode(data).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
