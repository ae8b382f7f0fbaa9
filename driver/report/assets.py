"""The chart library embedded in the page: pinned and verified here.

    python -m driver.report.assets

downloads the pinned package with npm, checks its files against ``assets.toml`` and writes them to
``third_party/``. Only moving the pin needs npm; making a report needs neither npm nor a network.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from driver.errors import EnvironmentFault
from driver.system.offline import require_online

HERE = Path(__file__).parent
MANIFEST = HERE / "assets.toml"
FOLDER = HERE / "third_party"


class Asset(NamedTuple):
    """A file of an npm package: its source, its path in this tree, and its sha256."""

    package: str
    version: str
    member: str
    path: Path
    sha256: str


def assets() -> list[Asset]:
    """Return the pinned files, in the order of assets.toml."""
    listed = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    return [
        Asset(
            package=package["name"],
            version=package["version"],
            member=file["member"],
            path=FOLDER / package["name"] / Path(file["member"]).name,
            sha256=file["sha256"],
        )
        for package in listed["package"]
        for file in package["file"]
    ]


def chart_library() -> str:
    """Return the chart library's JavaScript; raises EnvironmentFault if it is not the pinned file."""
    asset = next(asset for asset in assets() if asset.path.suffix == ".js")
    content = asset.path.read_bytes() if asset.path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != asset.sha256:
        raise EnvironmentFault(
            f"{asset.path} is not the file that assets.toml pins",
            f"restore it: git checkout -- {asset.path}",
        )
    return content.decode("utf-8")


def fetch() -> None:
    """Download the pinned packages with npm and replace the files.

    Raises EnvironmentFault if a file's sha256 is not the pinned one.
    """
    wanted = assets()
    require_online("the pinned files are npm's", "fetch them where there is a network")
    for package, version in sorted({(asset.package, asset.version) for asset in wanted}):
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", f"{package}@{version}", "--pack-destination", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as members:
                for asset in wanted:
                    if asset.package == package:
                        _replace(asset, members)


def _replace(asset: Asset, members: tarfile.TarFile) -> None:
    file = members.extractfile(f"package/{asset.member}")
    content = file.read() if file is not None else b""
    found = hashlib.sha256(content).hexdigest()
    if found != asset.sha256:
        raise EnvironmentFault(
            f"{asset.member} of {asset.package} {asset.version} has sha256 {found}, "
            f"assets.toml pins {asset.sha256}",
            "if you are moving the pin, write the new sha256 into assets.toml",
        )
    asset.path.parent.mkdir(parents=True, exist_ok=True)
    asset.path.write_bytes(content)


if __name__ == "__main__":
    fetch()
