"""Prints what a Python module offers, as JSON: argv is the module's name.

enums: name → {member: value}; classes: name → {attribute: list of parameter lists, or null for no method};
functions: name → list of parameter lists; values: names of numbers. pybind11 and Cython state signatures in the docstring only.
"""

import importlib
import inspect
import json
import re
import sys


def described(module):
    """Return the document."""
    document = {"enums": {}, "classes": {}, "functions": {}, "values": []}
    for name in dir(module):
        found = getattr(module, name)
        if name.startswith("_"):
            continue
        if isinstance(found, type) and hasattr(found, "__members__"):
            members = found.__members__
            document["enums"][name] = {member: int(members[member]) for member in members}
        elif isinstance(found, type):
            document["classes"][name] = {
                attribute: parameters(getattr(found, attribute), attribute)
                for attribute in dir(found)
                if not attribute.startswith("_")
            }
        elif callable(found):
            document["functions"][name] = parameters(found, name)
        elif isinstance(found, int):
            document["values"].append(name)
    return document


def parameters(found, name):
    """Return the parameter lists of a function's overloads, without self; None for what is no function."""
    if not callable(found) or isinstance(found, type):
        return None
    lines = (getattr(found, "__doc__", None) or "").splitlines()
    stated = [
        re.match(rf"(?:\d+\. )?{re.escape(name)}\((.*)\)(?: ->|$)", line.strip()) for line in lines
    ]
    texts = [match.group(1) for match in stated if match]
    if texts:
        return [names_of(text) for text in texts if text != "*args, **kwargs"]
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return []
    return [[one for one in signature.parameters if one != "self"]]


def names_of(text):
    """Return the names in "self: Builder, flags: int = 0" or "dst, src, size_t count, kind: Kind"."""
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "(": 1, "<": 1, "]": -1, ")": -1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    # "kind: Kind = …" has its name first, "size_t count" last.
    names = [re.split(r"[:=]", part)[0].split()[-1] for part in parts if part.strip(" /*")]
    return [name for name in names if name != "self"]


sys.stdout.write(json.dumps(described(importlib.import_module(sys.argv[1]))) + "\n")
