"""Reads manifests: an invalid one is named with all its problems, and leaves the other folders usable."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from driver.errors import AssayError, UsageFault
from driver.models.base import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

ModelT = TypeVar("ModelT", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Invalid:
    """A folder whose manifest is invalid. ``aliases``: its own name and aliases, as far as it states them."""

    what: str
    folder: Path
    aliases: frozenset[str]
    fault: UsageFault


def read_manifest(path: Path, model: type[ModelT]) -> ModelT:
    """Read one manifest; UsageFault names the file, and every key with its problem."""
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path} is not TOML: {error}", "fix that line") from error
    except OSError as error:
        raise UsageFault(
            f"{path} cannot be read: {error.strerror}", "fix its permissions"
        ) from error
    except ValidationError as error:
        found = problems(error)
        raise UsageFault(
            f"{path}: {found[0]}" if len(found) == 1 else "\n  ".join([f"{path}:", *found]),
            "the keys are described in docs/manifest-keys.md",
        ) from error


def read_each(
    what: str, paths: Iterable[Path], read: Callable[[Path], T]
) -> tuple[list[T], tuple[Invalid, ...]]:
    """Read every manifest; return what is valid, and the others as Invalid."""
    valid, invalid = [], []
    for path in paths:
        try:
            valid.append(read(path))
        except UsageFault as fault:
            invalid.append(_invalid(what, path, fault))
    return valid, tuple(invalid)


def joined(first: UsageFault, others: Iterable[Invalid]) -> UsageFault:
    """Return one error that shows the problems of several manifests of one folder."""
    messages = [first.message, *(one.fault.message for one in others)]
    return UsageFault("\n".join(messages), first.remedy)


def choose(
    name: str, valid: Mapping[str, T], invalid: Iterable[Invalid], aliases: Mapping[str, str]
) -> T | None:
    """Return what ``name`` means among valid folders, None if nothing does.

    Raises the UsageFault of an invalid folder of that name, or of one that no valid folder answers for.
    """
    for one in invalid:
        if name == one.folder.name:
            raise one.fault
    found = valid.get(aliases.get(name, name))
    for one in invalid:
        if found is None and name in one.aliases:
            raise one.fault
    return found


def _invalid(what: str, path: Path, fault: AssayError) -> Invalid:
    """Return the folder with the names that it has, as far as its manifest can be read at all."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        document = {}
    given = document.get("aliases")
    aliases = given if isinstance(given, list) else []
    return Invalid(
        what=what,
        folder=path.parent,
        aliases=frozenset(map(str, [*aliases, document.get("name", path.parent.name)])),
        fault=UsageFault(fault.message, fault.remedy),
    )
