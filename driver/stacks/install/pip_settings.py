"""The settings that pip gets: where packages come from, and nothing else of the caller's.

An index, a proxy, a certificate or a cache that this host has configured for pip counts. A target
folder, a constraint or a dry run that somebody set for other work would leave an environment empty or
wrong, so every other key is left out, from ``PIP_*`` as from pip.conf. Standard library only: the
driver's own environment is made with it.
"""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEPT = frozenset(
    (
        *("index-url", "pypi-url", "extra-index-url", "find-links", "no-index", "trusted-host"),
        *("proxy", "cert", "client-cert", "keyring-provider"),
        *("timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"),
    )
)
KEPT_VALUES = {"use-feature": "truststore", "use-deprecated": "legacy-certs"}
"""Of these keys only the value that is about certificates."""

INDEXES = ("index-url", "pypi-url", "extra-index-url")
SECTIONS = ("global", "install", "download")
"""Of pip.conf; a later one wins."""


class PipConfigUnreadable(Exception):
    """A pip.conf that pip could not read either; the message names it."""


def pip_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the kept settings, key (``index-url``) → value as written; the environment wins.

    ``no-index`` counts where find-links is all that is configured: without any source nothing could
    be fetched, and beside an index that was named it contradicts it.
    """
    env = os.environ if environ is None else environ
    found = dict(_from_files(env))
    for name, value in env.items():
        if name.startswith("PIP_") and value:
            found[_key(name.removeprefix("PIP_"))] = value
    kept = {
        key: value
        for key, value in found.items()
        if value and (key in KEPT or KEPT_VALUES.get(key) == value)
    }
    if "find-links" not in kept or any(key in kept for key in INDEXES):
        kept.pop("no-index", None)
    return kept


def pip_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which pip reads these settings and no others, nor any of Python's."""
    env = os.environ if environ is None else environ
    kept = {key: value for key, value in env.items() if not key.startswith(("PIP_", "PYTHON"))}
    own = {_variable(key): value for key, value in pip_settings(env).items()}
    fixed = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    return kept | own | fixed


def config_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield where pip looks for its configuration on Linux; a later file wins.

    As pip's user guide has it ("Configuration", "Location"): global, user, site, PIP_CONFIG_FILE; an
    existing PIP_CONFIG_FILE stands in the user's place, and ``/dev/null`` in that of all.
    """
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # no error without one
    if not (named and Path(named).exists()):
        yield home / ".pip" / "pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    # The Python that environments are made from, ours, and the one that the caller activated.
    for prefix in (sys.base_prefix, sys.prefix, environ.get("VIRTUAL_ENV")):
        if prefix:
            yield Path(prefix) / "pip.conf"
    if named:
        yield Path(named)


def _from_files(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    sections: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for path in config_files(environ):
        parser = _parsed(path)
        for section in sections.keys() & set(parser.sections()):
            sections[section] |= {_key(key): value for key, value in parser.items(section)}
    # An empty value takes back what an earlier file set in the same section, no more.
    for values in sections.values():
        yield from ((key, value) for key, value in values.items() if value)


def _parsed(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise PipConfigUnreadable(f"{path}: {error}") from error
    return parser


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _variable(key: str) -> str:
    return f"PIP_{key.upper().replace('-', '_')}"
