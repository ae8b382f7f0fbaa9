"""What a case's dataset.py yields: an item, its label and its name."""

from typing import Any, NamedTuple


class Item(NamedTuple):
    """An item of a case's own dataset.

    ``payload`` is all that the model's side sees of it (Task.prepare gets these bytes). ``label`` is any
    JSON value, which only scoring sees. ``name`` is for messages: where the user finds the item.
    """

    payload: bytes
    label: Any
    name: str
