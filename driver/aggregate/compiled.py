"""Compiles the pydantic model of a result to a msgspec struct, which validates ten times faster.

The pydantic models stay the only definition. Whatever a struct accepts, its model accepts; what a
struct refuses is validated again by the model, whose message names the reason. A model with a
validator or an unknown kind of constraint cannot be compiled: NotCompilableError.
"""

from __future__ import annotations

import functools
import operator
import types
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import msgspec
from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class NotCompilableError(TypeError):
    """A model has a constraint that a struct cannot check."""


@cache
def struct_of(model: type[BaseModel]) -> type[msgspec.Struct]:
    """Return the struct with the model's fields, aliases, defaults and constraints.

    Raises NotCompilableError.
    """
    decorators = model.__pydantic_decorators__
    if decorators.model_validators or decorators.field_validators:
        raise NotCompilableError(f"{model.__name__} has validators")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    renamed = {}
    for name, info in model.model_fields.items():
        if info.alias is not None:
            renamed[name] = info.alias
        kind = _constrained(_converted(info.annotation), info)
        fields.append((name, kind) if info.is_required() else (name, kind, _default(info)))
    return msgspec.defstruct(
        model.__name__,
        fields,
        rename=renamed or None,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=model.model_config.get("extra") == "forbid",
        gc=False,
    )


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        struct = struct_of(type(value))
        document = value.model_dump(mode="json", by_alias=True)
        return msgspec.field(default_factory=lambda: msgspec.convert(document, struct))
    if isinstance(value, dict):
        return msgspec.field(default_factory=lambda: dict(value))
    return value


def _converted(kind: Any) -> Any:
    """Return the annotation with every model in it replaced by its struct."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return struct_of(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is None or origin is Literal:
        return kind
    if origin is Annotated:
        return _annotated(_converted(inner[0]), inner[1:])
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, (_converted(item) for item in inner))
    return origin[tuple(item if item is Ellipsis else _converted(item) for item in inner)]


def _constrained(kind: Any, info: FieldInfo) -> Any:
    return _annotated(kind, tuple(info.metadata))


def _annotated(kind: Any, metadata: tuple[Any, ...]) -> Any:
    limits: dict[str, Any] = {}
    for item in metadata:
        limits.update(_limits(item))
    return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


def _limits(item: Any) -> dict[str, Any]:
    if isinstance(item, annotated_types.Ge):
        return {"ge": item.ge}
    if isinstance(item, annotated_types.Gt):
        return {"gt": item.gt}
    if isinstance(item, annotated_types.Le):
        return {"le": item.le}
    if isinstance(item, annotated_types.Lt):
        return {"lt": item.lt}
    pattern = getattr(item, "pattern", None)
    if isinstance(pattern, str):
        # Python's $ also matches before a trailing newline, pydantic's does not.
        return {"pattern": pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern}
    nested = getattr(item, "metadata", None)
    if isinstance(nested, list):
        return {key: value for part in nested for key, value in _limits(part).items()}
    raise NotCompilableError(f"the constraint {item!r} has no counterpart in msgspec")
