"""transformers' search of its own folders: once where it is imported, not twice.

When it is imported, transformers reads the source of all of its models, 550 folders, for the names that they have, and
then again for its package of models. Its memory of what it read is a ``functools.lru_cache`` of the default size, 128
entries, so the second search finds nothing there: a tenth of the time that torch and transformers take to be imported.
"""

import functools
import sys
from contextlib import suppress
from typing import Any, Optional

#: The module that searches, and its function that is remembered, as of transformers 5.
SEARCHER = "transformers.utils.import_utils"
SEARCH = "create_import_structure_from_path"


def search_once() -> None:
    """Have transformers remember every folder, in this process, if it is imported from here on."""
    if SEARCHER not in sys.modules and not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Has the other finders find the module that searches; its memory is then without a limit."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[Any]:
        """The module's spec; None for every other module, which others find."""
        if name != SEARCHER or self._asking:
            return None
        # Others may ask all finders in their turn.
        self._asking = True
        try:
            found = (self._found(one, name, path, target) for one in list(sys.meta_path))
            spec: Any = next((one for one in found if one is not None), None)
        finally:
            self._asking = False
        # What reads archives has no exec_module before Python 3.10.
        run = getattr(getattr(spec, "loader", None), "exec_module", None)
        if run is not None:
            with suppress(AttributeError):
                spec.loader.exec_module = functools.partial(self._run_then_widen, run)
        return spec

    @staticmethod
    def _found(finder: Any, *wanted: Any) -> Optional[Any]:
        find = getattr(finder, "find_spec", None)
        return None if find is None else find(*wanted)

    def _run_then_widen(self, run: Any, module: Any) -> None:
        run(module)
        search: Any = getattr(module, SEARCH, None)
        if hasattr(search, "cache_info") and hasattr(search, "__wrapped__"):
            setattr(module, SEARCH, functools.lru_cache(maxsize=None)(search.__wrapped__))
        # It is imported by now; another thread may have been here.
        with suppress(ValueError):
            sys.meta_path.remove(self)
