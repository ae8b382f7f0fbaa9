"""transformers' search of its own folders: once where it is imported, not twice.

When it is imported, transformers reads the source of all of its models, 550 folders, for the names that they have, and
then again for its package of models. Its memory of what it read is a ``functools.lru_cache`` of the default size, 128
entries, so the second search finds nothing there: a tenth of the time that torch and transformers take to be imported.
"""

import functools
import importlib.machinery
import sys
from typing import Any, Optional

#: The module that searches, and its function that is remembered, as of transformers 5.
SEARCHER = "transformers.utils.import_utils"
SEARCH = "create_import_structure_from_path"


def search_once() -> None:
    """Have transformers remember every folder, in this process, if it is imported from here on."""
    if SEARCHER not in sys.modules and not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the module that searches, once, as Python's own finder does; its memory is then without a limit."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[Any]:
        """The module's spec; None for every other module, which others find."""
        if name != SEARCHER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run: Any = spec.loader.exec_module

        def run_then_widen(module: Any) -> None:
            run(module)
            # What the cache wraps; None in a version that does without it.
            search = getattr(getattr(module, SEARCH, None), "__wrapped__", None)
            if search is not None:
                setattr(module, SEARCH, functools.lru_cache(maxsize=None)(search))

        spec.loader.exec_module = run_then_widen  # type: ignore[method-assign]
        return spec
