"""The command that the user typed, repeated in remedies with what they add to it. Nothing is dropped."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TYPED = "ASSAY_TYPED"
"""Where the Makefile leaves the names of the variables on its command line, which it exports."""

DEFAULT_HOME = "ASSAY_HOME_NOT_TYPED"
"""Where driver/bootstrap.sh leaves the folder that it chose for ASSAY_HOME, which nobody had set."""

FROM_ENVIRONMENT = frozenset(
    {
        "ALLOWED_SIGNERS",
        "ASSAY_HOME",
        "ASSAY_HOST_NAME",
        "ASSAY_LOCKS",
        "BASE",
        "CASE_PATH",
        "HOST",
        "INSTALLERS",
        "OFFLINE",
        "OUT",
        "REFERENCE_PYTHON",
        "STACK_PYTHON",
        "TORCH_INDEX",
        "VENDOR_PATH",
    }
)
"""Variables of any verb that are read from the environment rather than options."""

OWN_OPTIONS = {"bundle": frozenset({"OUT"}), "images": frozenset({"BASE"})}
"""Verbs that have one of FROM_ENVIRONMENT as an option."""

RUN = (
    "CASE VENDOR STACK ENGINE PRECISION BS CHIP DEVICE RUNNER TIER DATA WEIGHTS LIMIT REPEAT WAIT INPUT "
    "PREPROCESS SCENARIO LATENCY_BOUND TARGET_QPS"
)
TAKES = {
    verb: frozenset(names.split())
    for verb, names in {
        "run": RUN,
        "sweep": f"{RUN} RATIO INSIDE ATTACH CANCEL",
        "bundle": f"{RUN} RESULT WITH OUT VOLUME SIGN",
        "rerun": "RESULT DATA WEIGHTS DEVICE CHIP RUNNER WAIT VENDOR STACK ENGINE",
        "audit": "RESULT DATA WEIGHTS DEVICE WAIT",
        "report": "TABLE CASE",
        "compare": "A B FAIL_BELOW SMALLEST REPEAT DATA WEIGHTS DEVICE",
        "published": "CASE",
        "check": "VENDOR CASE RUNNER",
        "doctor": "CASE VENDOR STACK DEVICE",
        "images": "VENDOR STACK BASE",
        "wheelhouse": "VENDOR STACK",
        "pin": "VENDOR STACK",
        "data": "CASE SRC MD5 WEIGHTS RUNNER",
        "load": "BUNDLE INTO",
        "verify": "BUNDLE RESULT",
        "new-vendor": "NAME INTO",
        "new-case": "NAME KIND INTO",
        "clean": "",
        "list": "",
        "lock": "",
    }.items()
}
"""The options with a value that each verb takes."""

NOTHING_RUNS = frozenset({"doctor", "check"})
"""Verbs whose findings advise on a later run: a variable of the environment in them is for that one."""

ONE_OF = frozenset({"VENDOR", "CASE"})

OF_VENDOR = frozenset({"STACK", "ENGINE", "CHIP"})
"""Names that each vendor has of its own: another vendor would refuse them."""

RESULTS = frozenset({"run", "sweep", "rerun", "audit", "report"})
"""Verbs for which OUT is the folder of results."""

ONE_EACH = frozenset({"CASE", "VENDOR", "STACK", "ENGINE", "PRECISION", "BS", "CHIP", "SCENARIO"})
"""Only a sweep takes several of these, separated by commas; no other command repeats such a list."""

CARRIED = {
    "run": RUN,
    "doctor": "CASE VENDOR STACK DEVICE",
    "images": "VENDOR STACK",
    "wheelhouse": "VENDOR STACK",
    "pin": "VENDOR STACK",
    "data": "CASE WEIGHTS RUNNER",
    "published": "CASE",
    "check": "",
    "report": "",
    "clean": "",
    "list": "",
    "lock": "",
}
"""Other verbs that remedies advise, and what they take over from the user's own command.

What the remedy itself leaves open (``CASE=…``) is taken over too; `check` takes a vendor or a case.
"""

_WORD = r"[^\s,;:`()]+"
_PLACE = r"<(?:[^<>]|<[^<>]*>)*>(?:@sha256:…)?"
_PAIR = rf"[A-Z][A-Z0-9_]*=(?:{_PLACE}|{_WORD}(?:,{_WORD})*)"
_ADVICE = re.compile(
    rf"\bmake (?P<verb>{'|'.join(TAKES)})\b(?P<pairs>(?: {_PAIR})*)"
    rf"|\b(?P<same>the same command)\b"
    rf"|(?<![\w=-])(?P<bare>{_PAIR}(?: {_PAIR})*)"
)
OPEN = "…"
"""The value of a variable that a remedy leaves to the user's own command."""


@dataclass(frozen=True, kw_only=True)
class OwnCommand:
    """A verb and its variables by name, as make or ``driver/assay`` was given them."""

    verb: str
    given: Mapping[str, str]
    flags: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    by_make: bool = True

    @classmethod
    def of(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Self | None:
        """Return the command of this process, None if it is not one of Assay's verbs."""
        if not _is_assay(argv) or len(argv) < 2 or argv[1].startswith("-"):
            return None
        given, flags, words = _parsed(argv[2:])
        typed = environ.get(TYPED)
        if typed is not None:
            given = {name: environ[name] for name in typed.split() if name in environ}
            return cls(verb=argv[1], given=given)
        own = OWN_OPTIONS.get(argv[1], frozenset())
        if environ.get("ASSAY_HOME") == environ.get(DEFAULT_HOME):
            own |= {"ASSAY_HOME"}
        outside = {
            name: environ[name] for name in sorted(FROM_ENVIRONMENT - own) if environ.get(name)
        }
        return cls(
            verb=argv[1], given={**outside, **given}, flags=flags, words=words, by_make=False
        )

    def changed(self, changes: Mapping[str, str | None]) -> Self:
        """Return the command with these variables; a value of None removes one."""
        kept = {**self.given, **changes}
        if kept.get("VENDOR") != self.given.get("VENDOR"):
            kept |= dict.fromkeys(OF_VENDOR - changes.keys(), None)
        if self.verb == "check" and changes.keys() & ONE_OF:  # it takes a vendor or a case
            kept |= dict.fromkeys(ONE_OF - changes.keys(), None)
        given = {name: value for name, value in kept.items() if value is not None}
        return replace(self, given=given, flags=self.flags - set(changes))

    def other(self, verb: str, pairs: Mapping[str, str]) -> Self:
        """Return another verb with these variables, and those of the user's that it takes too."""
        environment = FROM_ENVIRONMENT if verb in RESULTS else FROM_ENVIRONMENT - {"OUT"}
        taken = environment | set(CARRIED[verb].split()) | set(pairs)
        several = {name for name in ONE_EACH if "," in self.given.get(name, "")}
        shared = {name: self.given[name] for name in self.given if name in taken - several}
        said = {name: value for name, value in pairs.items() if value != OPEN or name not in shared}
        return replace(self, verb=verb, given={**shared, **said}, flags=frozenset(), words=())

    def takes(self, names: Iterable[str]) -> bool:
        """Whether the verb takes all of these variables."""
        taken = TAKES.get(self.verb, frozenset())
        known = taken if self.verb in NOTHING_RUNS else taken | FROM_ENVIRONMENT
        return known.issuperset(names)

    def __str__(self) -> str:
        """Return the command line to type."""
        if self.by_make and not self.words:
            names = [*self.given.items(), *((flag, "1") for flag in sorted(self.flags))]
            pairs = [f"{name}={_quoted(value).replace('$', '$$')}" for name, value in names]
            return " ".join(["make", self.verb, *pairs])
        outside = FROM_ENVIRONMENT - OWN_OPTIONS.get(self.verb, frozenset())
        before = [f"{name}={_quoted(self.given[name])}" for name in self.given if name in outside]
        options = [
            f"{_option(name)} {_quoted(value)}"
            for name, value in self.given.items()
            if name not in outside
        ]
        flags = [_option(flag) for flag in sorted(self.flags)]
        words = [_quoted(word) for word in self.words]
        return " ".join([*before, "driver/assay", self.verb, *words, *options, *flags])


def completed(remedy: str, command: OwnCommand | None) -> str:
    """Return a remedy with whole commands to type.

    "use WEIGHTS=synthetic" and "the same command" become the user's own command, with that variable;
    "make doctor" gets the user's VENDOR, STACK and so on.
    """
    if command is None:
        return remedy
    own = command

    def whole(found: re.Match[str]) -> str:
        if found["verb"] == own.verb:
            return str(own.changed(_pairs(found["pairs"])))
        if found["verb"] and found["verb"] not in CARRIED:
            return found[0]
        if found["verb"]:
            return str(replace(own.other(found["verb"], _pairs(found["pairs"])), by_make=True))
        if found["same"]:
            return f"`{own}`"
        pairs = _pairs(found["bare"])
        return f"`{own.changed(pairs)}`" if own.takes(pairs) else found[0]

    return _ADVICE.sub(whole, remedy)


def _is_assay(argv: Sequence[str]) -> bool:
    program = Path(argv[0]) if argv else Path()
    return program.name == "assay" or program.parts[-2:] == ("driver", "__main__.py")


def _pairs(text: str) -> dict[str, str]:
    found = (pair.partition("=") for pair in re.findall(_PAIR, text))
    return {name: value for name, _, value in found}


def _parsed(words: Sequence[str]) -> tuple[dict[str, str], frozenset[str], tuple[str, ...]]:
    """Return the options with a value, the flags, and the other words of a command line."""
    given, flags, others, rest = {}, set(), [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            others.append(word)
        elif equals:
            given[_variable(name)] = value
        elif rest and not rest[0].startswith("--"):
            given[_variable(name)] = rest.pop(0)
        else:
            flags.add(_variable(name))
    return given, frozenset(flags), tuple(others)


def _variable(option: str) -> str:
    return option.removeprefix("--").replace("-", "_").upper()


def _option(variable: str) -> str:
    return "--" + variable.lower().replace("_", "-")


def _quoted(value: str) -> str:
    """Quote a value for the shell, except for a placeholder that is to be replaced anyway."""
    return value if re.fullmatch(r"<.*>(@sha256:…)?|…", value) else shlex.quote(value)
