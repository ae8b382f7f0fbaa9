"""What really holds a stage: asked of a container that is started as the stage's will be."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

NETWORK = "network"
CAPABILITIES = "capabilities"
PRIVILEGES = "no_new_privileges"
ROOT = "read_only_root"
SECCOMP = "seccomp"
TMP = "tmp_size"
ESSENTIAL = frozenset({NETWORK, CAPABILITIES, PRIVILEGES, ROOT})
"""What a stage is not isolated without."""

ASK = r"""
while read -r line; do echo "status $line"; done < /proc/self/status
while read -r line; do echo "network $line"; done < /proc/self/net/dev
while read -r line; do echo "ids $line"; done < /proc/self/uid_map
(: > /.assay-sealing) 2>/dev/null && echo "root writable"
(: > /tmp/.assay-sealing) 2>/dev/null && echo "tmp writable"
[ -e /job/job.json ] && echo "job there"
echo "asked to the end"
"""
"""For /bin/sh, with nothing but its own commands."""

INTERFACE = re.compile(r"([^\s:]+):")
WHOLE = ["0", "0", "4294967295"]
"""The line of uid_map outside of every user namespace."""


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """A container as its guest sees it.

    ``interfaces`` are the network's, ``capabilities`` how many the guest has in effect. ``rootless``: it is
    in a user namespace, so that Apptainer runs as a normal user; otherwise it is set-user-id or root's.
    """

    interfaces: frozenset[str]
    capabilities: int
    no_new_privileges: bool
    seccomp: bool
    rootless: bool
    root_writable: bool
    tmp_writable: bool
    has_job: bool

    def not_enforced(self, capabilities: int) -> tuple[str, ...]:
        """Return what a stage that may have that many capabilities is not held to.

        The size of /tmp is never limited: it is a folder of the host's.
        """
        held = {
            NETWORK: self.interfaces <= {"lo"},
            CAPABILITIES: self.capabilities <= capabilities,
            PRIVILEGES: self.no_new_privileges,
            ROOT: not self.root_writable,
            SECCOMP: self.seccomp,
            TMP: False,
        }
        return tuple(name for name, enforced in held.items() if not enforced)


def parsed(said: str) -> Sealing | None:
    """Return what a container answered to ASK, None if it did not answer to the end."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for line in said.splitlines():
        kind, _, rest = line.partition(" ")
        lines[kind].append(rest)
    if lines["asked"] != ["to the end"]:
        return None
    status = dict(line.split(":", 1) for line in lines["status"] if ":" in line)
    found = (INTERFACE.match(line) for line in lines["network"])
    return Sealing(
        interfaces=frozenset(match[1] for match in found if match),
        capabilities=int(status.get("CapEff", "0").strip(), 16).bit_count(),
        no_new_privileges=status.get("NoNewPrivs", "0").strip() == "1",
        seccomp=status.get("Seccomp", "0").strip() not in ("", "0"),
        rootless=[line.split() for line in lines["ids"]] != [WHOLE],
        root_writable="root" in lines,
        tmp_writable="tmp" in lines,
        has_job="job" in lines,
    )
