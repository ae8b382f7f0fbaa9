"""Generates docs/manifest-keys.md, the page of all manifest keys, from the schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from driver.models.case import CaseManifest
from driver.models.stack import StackManifest
from driver.models.vendor import VendorManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

Schema = dict[str, Any]

MANIFESTS: dict[str, type[BaseModel]] = {
    "vendor.toml": VendorManifest,
    "stack.toml": StackManifest,
    "case.toml": CaseManifest,
}
WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}
HEAD = """# Every key of every manifest

Written by `make schemas` from `driver/models/`; do not edit. [What the manifests are](manifests.md).
"""
COLUMNS = "| key | is | where it is absent | meaning |\n|---|---|---|---|"


def page() -> str:
    """Return the page: one section per manifest, one Markdown table per TOML table."""
    parts = [HEAD]
    for file, model in MANIFESTS.items():
        schema = model.model_json_schema(by_alias=True)
        parts.append(f"## {file}\n")
        parts += [_table(title, table) for title, table in tables(schema)]
    return "\n".join(parts)


def tables(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each table of a manifest as (TOML heading, schema), outer ones first.

    A table that is in several places under one key (a stack's own `engines`, like the vendor's) comes once.
    """
    yield from _below("", schema, schema.get("$defs", {}), set())


def _below(
    path: str, table: Schema, known: dict[str, Schema], shown: set[tuple[str, str]]
) -> Iterator[tuple[str, Schema]]:
    # An enumeration (a tier, a stage) is a value.
    if "properties" not in table:
        return
    yield path, table
    for key, spec in table["properties"].items():
        place = f"{path}.{key}".lstrip(".")
        for suffix, name in _references(spec):
            if (key, name) not in shown:
                shown.add((key, name))
                yield from _below(place + suffix, known[name], known, shown)


def _references(spec: Schema) -> Iterator[tuple[str, str]]:
    """Yield the tables below a key as (path from the key, name)."""
    if "$ref" in spec:
        yield "", spec["$ref"].rpartition("/")[2]
    for option in spec.get("anyOf", ()):
        yield from _references(option)
    if isinstance(spec.get("items"), dict):
        yield from (("[]" + suffix, name) for suffix, name in _references(spec["items"]))
    for inner in (spec.get("additionalProperties"), *spec.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            yield from ((".<name>" + suffix, name) for suffix, name in _references(inner))


def _table(path: str, table: Schema) -> str:
    required = set(table.get("required", ()))
    rows = [
        f"| `{key}` | {_kind(spec)} | {'required' if key in required else _default(spec)} | "
        f"{spec['description']} |"
        for key, spec in table["properties"].items()
    ]
    heading = f"### `{_heading(path)}`\n\n" if path else ""
    return heading + "\n".join([COLUMNS, *rows]) + "\n"


def _heading(path: str) -> str:
    name = path.replace("[]", "")
    return f"[[{name}]]" if path.endswith("[]") else f"[{name}]"


def _kind(spec: Schema) -> str:
    options = [one for one in spec.get("anyOf", ()) if one.get("type") != "null"]
    values = [spec["const"]] if "const" in spec else spec.get("enum", ())
    if options:
        return " or ".join(map(_kind, options))
    if values:
        return ", ".join(f"`{json.dumps(value)}`" for value in values)
    if spec.get("type") == "array":
        inner = spec.get("items")
        return f"list of {_kind(inner)}s" if isinstance(inner, dict) else "list"
    if spec.get("type") == "object":
        return "tables by name" if any(True for _ in _references(spec)) else "table"
    return "table" if "$ref" in spec else WORDS.get(str(spec.get("type")), "number")


def _default(spec: Schema) -> str:
    value = spec.get("default")
    return (
        "" if value in (None, "", [], {}) or isinstance(value, dict) else f"`{json.dumps(value)}`"
    )
