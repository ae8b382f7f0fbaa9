"""What a wheel states as its licence, however its metadata spells it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from driver.stacks.wheel_licence import LICENCE_CHARACTERS, stated_licence
from tests.driver.wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("License-Expression: MIT\n", "MIT"),
        ("License: BSD\nLicense-Expression: MIT\n", "MIT"),
        ("License:  BSD \n", "BSD"),
        ("License: Copyright © 2005–2026, the developers\n  All rights reserved\n", "Copyright ©"),
        ("License: " + "x" * 200 + "\n", "x" * LICENCE_CHARACTERS),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("Classifier: Topic :: Café\nClassifier: License :: Café\n", "Café"),
        ("License: \n", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_metadata_states(
    tmp_path: Path, fields: str, said: str | None
) -> None:
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\n{fields}")
    found = stated_licence(path)
    assert found == said or (said is not None and found is not None and found.startswith(said))


def test_a_file_that_is_not_a_wheel_states_none(tmp_path: Path) -> None:
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(b"not a zip archive")
    assert stated_licence(path) is None
    assert stated_licence(tmp_path / "missing.whl") is None
    assert stated_licence(make_wheel(tmp_path, "tiny", licence="MIT")) == "MIT"
