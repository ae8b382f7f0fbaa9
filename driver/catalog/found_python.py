"""An interpreter of the host: its version, its packages, and the stack name derived from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


NAME = "found-{digest}"


DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class FoundPython:
    """An interpreter of this host and its packages.

    ``packages``: name → version. ``digest`` (sha256, hex) covers its version, its packages and their
    file lists. ``environment``: the caller's variables that it may need to work.
    """

    python: Path
    version: str
    packages: Mapping[str, str]
    digest: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stand_in: bool = False

    @property
    def stack_name(self) -> str:
        """Return the stack name for results; any changed package changes it."""
        return NAME.format(digest=self.digest[:DIGITS])

    def provenance(self, in_place_of: str) -> dict[str, object]:
        """Return its description for a result, without paths of this host."""
        return {
            "kind": "found",
            "in_place_of": in_place_of,
            "python": self.version,
            "sha256": self.digest,
            "packages": dict(self.packages),
            "variables": sorted(self.environment),
        }
