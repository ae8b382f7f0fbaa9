"""Calls a function on a module as soon as somebody imports it."""

import importlib.util
import sys

# Neither class derives from those of importlib.abc: importing that takes twice as long as starting Python, in every
# tool of a stand-in.


class _Loader:
    def __init__(self, loader, patch):
        self._loader, self._patch = loader, patch

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        self._patch(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


class _Finder:
    def __init__(self, name, patch):
        self._name, self._patch, self._busy = name, patch, False

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._name or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._patch)
        return spec


def after_import(name, patch):
    """Have ``patch(module)`` called once ``name`` is imported, or now if it already is."""
    if name in sys.modules:
        patch(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Finder(name, patch))
