"""The rules for a stack's Dockerfile, which must build anywhere with the network off. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = re.compile(
    r"(?:^|[\s;&|(])(?:curl|wget|apt-get|apt|apk|yum|dnf|microdnf|zypper|conda|mamba|git\s+clone)\s"
)
PIP_INSTALL = re.compile(r"(?:\bpip[\d.]*\b|-m\s+pip\b)[^;&|]*\binstall\b[^;&|]*")
ROOT_USERS = frozenset({"root", "0", "0:0", "root:root"})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction with its continuation lines joined; ``line`` is its first line, from 1."""

    line: int
    word: str
    text: str


def parse_dockerfile(text: str) -> tuple[Instruction, ...]:
    """Return the instructions, without comments, even those between continuation lines."""
    found = []
    parts: list[str] = []
    start = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        start = start if parts else number
        parts.append(line.removesuffix("\\").strip())
        if line.endswith("\\"):
            continue
        word, _, rest = " ".join(parts).partition(" ")
        found.append(Instruction(line=start, word=word.upper(), text=rest.strip()))
        parts = []
    return tuple(found)


def broken_rules(text: str, base_image: str) -> Iterator[tuple[str, str]]:
    """Yield (problem, remedy) for every rule that a Dockerfile breaks."""
    instructions = parse_dockerfile(text)
    yield from _base(instructions, base_image)
    yield from _stages(instructions)
    yield from _user(instructions)
    yield from _labels(instructions)
    yield from _network(instructions)


def _base(instructions: tuple[Instruction, ...], base_image: str) -> Iterator[tuple[str, str]]:
    first = instructions[0] if instructions else Instruction(line=1, word="", text="")
    if first.word != "ARG" or not first.text.startswith("BASE="):
        yield (
            "the first instruction is not ARG BASE=…, so a lab cannot use its own base image",
            f"start with: ARG BASE={base_image}",
        )
        return
    named = first.text.removeprefix("BASE=").strip("\"'")
    if named != base_image:
        yield (
            f"ARG BASE={named}, but stack.toml has base.image = {base_image!r}",
            "use the same image in both",
        )


def _stages(instructions: tuple[Instruction, ...]) -> Iterator[tuple[str, str]]:
    stages = [one for one in instructions if one.word == "FROM"]
    if len(stages) < 2:
        yield (
            f"it has {counted(len(stages), 'stage')}: wheels and installers would stay in the image",
            "build in a first stage (FROM ${BASE} AS builder), then COPY --from=builder to a second one",
        )
    foreign = [one for one in stages if not re.match(r"\$\{?BASE\b", one.text)]
    for one in foreign:
        yield (
            f"line {one.line}: FROM {one.text} is not the base image of stack.toml",
            "start every stage with FROM ${BASE}",
        )


def _user(instructions: tuple[Instruction, ...]) -> Iterator[tuple[str, str]]:
    starts = [place for place, one in enumerate(instructions) if one.word == "FROM"]
    final = instructions[starts[-1] :] if starts else ()
    users = [one for one in final if one.word == "USER"]
    if not users:
        yield (
            "the last stage has no USER, so the image runs as root",
            "end with: USER 10001:10001",
        )
    elif users[-1].text in ROOT_USERS:
        yield (
            f"line {users[-1].line}: USER {users[-1].text}, so the image runs as root",
            "end with: USER 10001:10001",
        )


def _labels(instructions: tuple[Instruction, ...]) -> Iterator[tuple[str, str]]:
    labels = [one.text for one in instructions if one.word == "LABEL"]
    if not any(text.startswith("assay.builder=") and "KEY" in text for text in labels):
        yield (
            "the first stage has no label assay.builder=${KEY}, so its layers would stay on the disk",
            "after the first FROM, add: ARG KEY=by-hand, then LABEL assay.builder=${KEY}",
        )


def _network(instructions: tuple[Instruction, ...]) -> Iterator[tuple[str, str]]:
    for one in instructions:
        if one.word == "ADD" and re.search(r"\bhttps?://|\bgit@", one.text):
            yield (
                f"line {one.line}: ADD needs the network, which is off",
                "list the file under [[installers]] in stack.toml, with its sha256",
            )
        if one.word != "RUN":
            continue
        step = NETWORK.search(one.text)
        if step:
            yield (
                f"line {one.line}: {step[0].strip(' ;&|(')} needs the network, which is off",
                "take packages from requirements.lock, the base image, or [[installers]] in stack.toml",
            )
        for install in PIP_INSTALL.findall(one.text):
            # The vendor's own wheels are in installers/, whose sha256 the driver checks.
            hashed = "--require-hashes" in install or "installers/" in install
            if "--no-index" not in install or not hashed:
                yield (
                    f"line {one.line}: pip install without --no-index and --require-hashes",
                    "add: --no-index --find-links /build/wheels --require-hashes -r "
                    "/build/requirements.lock",
                )
