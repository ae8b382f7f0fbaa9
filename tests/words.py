"""The words of the project: `python -m tests.words [folder …]` lists where a sentence reads translated.

``python -m tests.words --messages`` prints every message that a user can see, to be read in one go.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".toml", ".sh", ".js", ".j2", ".html", ".yml", ".yaml", ""}

WORDS: dict[str, str] = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\ba look\b": "a smoke run, or a check",
    r"\blooks? at\b": "read, inspect, check",
    r"\blooked at\b": "read, inspected, checked",
    r"\bbook(s|ed|ing)? (on|it|them|as|is|every|a|the)\b": "record, attribute to",
    r"\bbooked\b": "recorded, attributed to",
    r"\btold\b": "reported, detected",
    r"\bthat is none\b": "invalid",
    r"\bthat are none\b": "invalid",
    r"\bis no (?:JPEG|PNG|image|link|folder|file|number|picture|engine|case)\b": "is not a …",
    r"\bnot to be had\b": "not available",
    r"\bdoubts?\b": "caveat",
    r"\bseeds?' ": "published",
    r"\bseed (?:documents?|table|format|row)s?\b": "published document, table, …",
    r"\blies? (?:in|on|at|there|beside|below)\b": "is",
    r"\bwhere it lies\b": "where it is",
    r"\bwith what to type\b": "with the command to type",
    r"\bof its own accord\b": "by itself",
    r"\bsays? nowhere\b": "does not say",
    r"\bgoes? on\b": "continues",
    r"\bheld against\b": "compared with",
    r"\bset against\b": "compared with",
    r"\bnot well\b": "failed",
    r"\blaid out\b": "created, arranged",
    r"\blays? out\b": "creates, arranges",
    r"\bby hand of\b": "by",
    r"\bsays so\b": "marks it, reports it",
    r"\bsaying so\b": "marking it",
    r"\bcame to be\b": "was made",
    r"\bdone with\b": "finished",
    r"\bwhom it concerns\b": "who can fix it",
}
"""What reads translated, and the plain word for it (docs/style.md has the reasons)."""

ALLOWED = re.compile(
    r"^(tests/words\.py|tests/driver/published/documents/|LICENSE|.*third_party/|.*\.lock$)"
)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One place that reads translated."""

    path: str
    line: int
    text: str
    better: str


def files(folders: list[str]) -> Iterator[str]:
    """Yield the tracked text files below the folders."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--", *folders],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        path = ROOT / name
        if path.suffix in SUFFIXES and path.is_file() and not ALLOWED.match(name):
            yield name


GROUP = r"\((?:[^()]|\([^()]*\))*\)"
OPTIONAL = rf"(?:{GROUP}|\[[^\]]*\]|\\?.)[*?{{][^}}]*|{GROUP}|\[[^\]]*\]|\\."
"""What a match may lack, or have in another form: groups, classes, escapes, whatever a quantifier follows."""


def hits(folders: list[str]) -> Iterator[Hit]:
    """Yield every place where one of WORDS stands."""
    patterns = [
        (_letters(word), re.compile(word, re.IGNORECASE), better) for word, better in WORDS.items()
    ]
    for name in files(folders):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        plain = text.lower()
        near = [(pattern, better) for letters, pattern, better in patterns if letters in plain]
        for number, line in enumerate(text.splitlines() if near else (), start=1):
            for pattern, better in near:
                if pattern.search(line):
                    yield Hit(path=name, line=number, text=line.strip(), better=better)


def _letters(word: str) -> str:
    """Return letters that every match of a pattern contains: a file without them is not searched line by line."""
    if "|" in re.sub(GROUP, "", word):
        return ""
    runs = re.findall(r"[a-z ]{2,}", re.sub(OPTIONAL, "\n", word.lower()))
    return max(runs, key=len, default="")


SPEAKERS = {
    *("say", "note", "fault", "usage_fault", "failed", "not_checked", "ok", "warning", "unknown"),
    *("Failure", "Warn", "ResultProblem", "Unavailable", "Skip", "StageFailure", "ValueError"),
}


def messages(folders: list[str]) -> Iterator[str]:
    """Yield ``file:line text`` of every literal that is handed to an error, a warning or the console."""
    for name in files(folders):
        if not name.endswith(".py") or name.startswith("tests/"):
            continue
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _speaks(node):
                for text in filter(
                    None, map(_text, [*node.args, *(k.value for k in node.keywords)])
                ):
                    if " " in text:
                        yield f"{name}:{node.lineno} {text}"


def _speaks(node: ast.Call) -> bool:
    called = (
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    )
    return called in SPEAKERS or called.endswith(("Fault", "Error", "Failed", "Interrupted"))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value)
            if isinstance(part, ast.Constant)
            else "{" + ast.unparse(getattr(part, "value", part)) + "}"
            for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return ""


def main() -> int:
    """Print the hits, or the messages; return 1 where there are hits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", default=["."])
    parser.add_argument("--messages", action="store_true")
    asked = parser.parse_args()
    if asked.messages:
        sys.stdout.write("".join(f"{line}\n" for line in messages(asked.folders)))
        return 0
    found = list(hits(asked.folders))
    for hit in found:
        sys.stdout.write(f"{hit.path}:{hit.line}: {hit.text[:110]}  → {hit.better}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
