"""A running stage is held to its quota the first time its out folder is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.errors import ContractFault
from driver.models.base import StageName
from driver.results.received.watch import OutWatch

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES = 1 << 20


@pytest.mark.parametrize(("size", "refused"), [(LIMIT_BYTES // 2, False), (3 * LIMIT_BYTES, True)])
def test_an_out_folder_is_stopped_beyond_its_quota_only(
    tmp_path: Path, size: int, refused: bool
) -> None:
    (tmp_path / "x").write_bytes(b"x" * size)
    watch = OutWatch(tmp_path, StageName.INFER, LIMIT_BYTES, print)
    if not refused:
        watch()
        return
    with pytest.raises(ContractFault, match="more than the 1,048,576"):
        watch()
