"""Python's search for garbage: rare while frameworks are imported, as usual once something is measured.

Importing torch and transformers leaves 350,000 objects that stay. By Python's own thresholds they are searched again
and again, which is a seventh of the time of the import.
"""

import gc

#: Containers more than there were at the last search. Python's own number is 700.
MANY = 20000
_OWN = gc.get_threshold()


def search_rarely() -> None:
    """Search seldom from here on."""
    gc.set_threshold(MANY, *_OWN[1:])


def search_as_usual() -> None:
    """Search once, so that no whole search falls into a loop, and by Python's own thresholds from here on."""
    gc.collect()
    gc.set_threshold(*_OWN)
