"""The loader as a zip file: the same bytes for the same code, without a time or an owner."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

LOADER = Path(__file__).parent / "loader"
START = """\
import os, sys
if sys.version_info < (3, 7):
    sys.exit("assay: a bundle needs Python 3.7 to be loaded, and Python 3.11 to be used")
from loader.program import main
sys.exit(main(bundle=os.path.abspath(sys.argv[0])))
"""
"""What ``python3 <bundle>`` runs; any Python 3 can read it."""
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def loader_zip() -> bytes:
    """Return the zip file that stands behind a bundle's archive."""
    members = {f"loader/{path.name}": path.read_bytes() for path in sorted(LOADER.glob("*.py"))}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"__main__.py": START.encode(), **members}.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = UNIX
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    return stream.getvalue()
