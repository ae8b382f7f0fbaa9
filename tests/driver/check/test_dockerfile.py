"""The rules for a Dockerfile: every broken one is found, with its remedy."""

from __future__ import annotations

import pytest

from driver.check.dockerfile import broken_rules, parse_dockerfile

BASE = "acme.example/sdk:1"
GOOD = f"""\
ARG BASE={BASE}
FROM ${{BASE}} AS builder
ARG KEY=by-hand
LABEL assay.builder=${{KEY}}
COPY requirements.lock /build/requirements.lock
COPY wheels/ /build/wheels/
RUN python3 -m venv /opt/stack \\
# a comment between two lines
 && /opt/stack/bin/python3 -m pip install --no-index --find-links /build/wheels \\
      --require-hashes -r /build/requirements.lock
FROM ${{BASE}}
COPY --from=builder /opt/stack /opt/stack
USER 10001:10001
"""


def said(text: str, base: str = BASE) -> list[str]:
    return [problem for problem, _ in broken_rules(text, base)]


def test_a_good_dockerfile_breaks_no_rule() -> None:
    assert said(GOOD) == []


def test_continuation_lines_and_comments_are_one_instruction() -> None:
    run = next(one for one in parse_dockerfile(GOOD) if one.word == "RUN")
    assert run.line == 7
    assert run.text.endswith("-r /build/requirements.lock")
    assert "comment" not in run.text


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (f"ARG BASE={BASE}\n", "", "the first instruction is not ARG BASE"),
        (BASE, "acme.example/sdk:2", "stack.toml has base.image"),
        ("FROM ${BASE}\nCOPY --from=builder /opt/stack /opt/stack\n", "", "it has 1 stage"),
        ("FROM ${BASE}\n", "FROM debian:12\n", "FROM debian:12 is not the base image"),
        ("USER 10001:10001\n", "", "has no USER"),
        ("USER 10001:10001\n", "USER 10001\nUSER root\n", "USER root"),
        ("USER 10001:10001\n", "USER 0\n", "USER 0"),
        ("LABEL assay.builder=${KEY}\n", "", "label assay.builder"),
        ("RUN python3", "RUN apt-get install -y gcc && python3", "apt-get needs the network"),
        ("RUN python3", "RUN true;curl -O x && python3", "curl needs the network"),
        ("RUN python3", "RUN git clone x y && python3", "git clone needs the network"),
        ("--no-index ", "", "pip install without --no-index"),
        ("--require-hashes ", "", "pip install without --no-index and --require-hashes"),
        ("COPY wheels/", "ADD https://acme.example/w.tar ", "ADD needs the network"),
    ],
)
def test_each_broken_rule_is_found(old: str, new: str, problem: str) -> None:
    broken = GOOD.replace(old, new)
    assert broken != GOOD
    assert [text for text in said(broken) if problem in text]


def test_every_broken_rule_has_a_remedy() -> None:
    found = list(broken_rules("FROM debian\nRUN curl x | sh\nUSER root\n", BASE))
    assert len(found) >= 5
    assert all(remedy for _, remedy in found)


def test_a_user_of_the_first_stage_does_not_count() -> None:
    text = GOOD.replace("USER 10001:10001\n", "").replace("ARG KEY", "USER 10001\nARG KEY")
    assert said(text) == ["the last stage has no USER, so the image runs as root"]


def test_the_wheels_of_the_vendor_need_no_hash_in_a_lock() -> None:
    wheel = "RUN pip install --no-index /build/installers/sdk.whl\nFROM ${BASE}\nCOPY"
    assert said(GOOD.replace("FROM ${BASE}\nCOPY", wheel)) == []
    assert said(GOOD.replace("FROM ${BASE}\nCOPY", wheel.replace("--no-index ", ""))) != []


def test_paths_that_contain_a_network_command_are_accepted() -> None:
    assert said(GOOD.replace("RUN python3", "RUN ls /opt/curl-8 /etc/apt && python3")) == []
