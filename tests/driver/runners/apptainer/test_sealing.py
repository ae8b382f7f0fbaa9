"""What a container answers about itself, and what of Docker's isolation it lacks."""

from __future__ import annotations

import pytest

from driver.runners.apptainer.sealing import parsed

SEALED = """\
status CapEff:\t0000000000000000
status NoNewPrivs:\t1
status Seccomp:\t2
network Inter-|   Receive                                                |  Transmit
network  face |bytes    packets errs drop
network lo:       0       0    0
ids       1000       1000          1
tmp writable
job there
asked to the end
"""


def changed(*pairs: tuple[str, str]) -> str:
    said = SEALED
    for old, new in pairs:
        assert old in said
        said = said.replace(old, new)
    return said


def test_a_sealed_container_lacks_only_a_limit_of_its_tmp() -> None:
    found = parsed(SEALED)
    assert found is not None
    assert found.not_enforced(0) == ("tmp_size",)
    assert (found.rootless, found.has_job, found.tmp_writable) == (True, True, True)


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("network lo:  ", "network lo: 0\nnetwork eth0: ", "network"),
        ("CapEff:\t0000000000000000", "CapEff:\t0000000000000400", "capabilities"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privileges"),
        ("Seccomp:\t2", "Seccomp:\t0", "seccomp"),
        ("tmp writable", "tmp writable\nroot writable", "read_only_root"),
    ],
)
def test_what_is_not_enforced_is_named(old: str, new: str, missing: str) -> None:
    found = parsed(changed((old, new)))
    assert found is not None
    assert found.not_enforced(0) == (missing, "tmp_size")


def test_capabilities_that_vendor_toml_asks_for_are_no_lack() -> None:
    found = parsed(changed(("CapEff:\t0000000000000000", "CapEff:\t0000000000000400")))
    assert found is not None
    assert found.capabilities == 1
    assert "capabilities" not in found.not_enforced(1)


def test_outside_of_a_user_namespace_it_is_not_rootless() -> None:
    found = parsed(changed(("1000       1000          1", "0          0 4294967295")))
    assert found is not None
    assert not found.rootless


@pytest.mark.parametrize("said", ["", "FATAL: no\n", SEALED.replace("asked to the end\n", "")])
def test_an_answer_that_is_cut_short_is_none(said: str) -> None:
    assert parsed(said) is None
