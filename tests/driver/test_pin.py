"""Pinning a base image changes one line of stack.toml and nothing else."""

from __future__ import annotations

import tomllib

import pytest

from driver.errors import EnvironmentFault
from driver.verbs.pin import with_digest

DIGEST = "sha256:" + "ab" * 32
TEXT = """schema = "assay/stack/1"

[base]
image = "registry/base:1"  # for people
source = "somewhere"

[versions]
digest = "not this one"
"""


def test_a_digest_goes_into_the_base_table_alone() -> None:
    pinned = tomllib.loads(with_digest(TEXT, DIGEST))
    assert pinned["base"] == {"image": "registry/base:1", "source": "somewhere", "digest": DIGEST}
    assert pinned["versions"]["digest"] == "not this one"


def test_pinning_again_replaces_the_digest() -> None:
    once = with_digest(TEXT, DIGEST)
    other = "sha256:" + "cd" * 32
    assert with_digest(once, other) == once.replace(DIGEST, other)


def test_a_manifest_without_a_base_is_refused() -> None:
    with pytest.raises(EnvironmentFault):
        with_digest("[versions]\n", DIGEST)
