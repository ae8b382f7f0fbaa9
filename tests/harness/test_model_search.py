"""transformers, which searches its folders once where a stage imports it; other versions are left as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT

HARNESS = ROOT / "vendor_hooks"
SEARCHER = "transformers.utils.import_utils"
SEARCH = "create_import_structure_from_path"
BEGIN = "from harness import model_search; model_search.search_once(); "


def said_by(program: str, *path: Path, python: str = sys.executable) -> str:
    done = subprocess.run(
        [python, "-B", "-c", BEGIN + program],
        env={"PYTHONPATH": ":".join(map(str, [HARNESS, *path])), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def package(folder: Path, text: str) -> Path:
    """Write a package of transformers' name whose module that searches is ``text``."""
    utils = folder / "transformers" / "utils"
    utils.mkdir(parents=True)
    for place in (utils.parent, utils):
        (place / "__init__.py").touch()
    (utils / "import_utils.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.stack
def test_no_folder_of_the_pinned_transformers_is_searched_twice() -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    program = (
        "import json; from transformers import ViTForImageClassification; "
        "from transformers.utils import import_utils; "
        f"print(json.dumps(import_utils.{SEARCH}.cache_info()._asdict()))"
    )
    info = json.loads(said_by(program, python=str(python)))
    assert info["misses"] == info["currsize"] > 128
    assert info["hits"] > info["misses"] - 20


def test_what_was_remembered_is_what_a_search_finds(tmp_path: Path) -> None:
    text = (
        f"from functools import lru_cache\n@lru_cache\ndef {SEARCH}(place):\n    return [place]\n"
    )
    place = package(tmp_path, text)
    found = said_by(
        "from transformers.utils.import_utils import create_import_structure_from_path as search; "
        "print([search(n)[0] for n in range(200)] == [search(n)[0] for n in range(200)], "
        "search.cache_info().hits, search.cache_info().maxsize)",
        place,
    )
    assert found == "True 200 None"


@pytest.mark.parametrize("text", ["", f"def {SEARCH}(place):\n    return place\n"])
def test_a_version_that_remembers_nothing_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    found = said_by(
        f"from transformers.utils import import_utils; print(hasattr(import_utils, '{SEARCH}'))",
        package(tmp_path, text),
    )
    assert found == str(bool(text))


def test_a_stack_without_transformers_says_so_as_ever(tmp_path: Path) -> None:
    found = said_by(
        "import sys; before = len(sys.meta_path); model_search.search_once(); "
        "assert len(sys.meta_path) == before\n"
        "try:\n    import transformers.utils.import_utils\n"
        "except ModuleNotFoundError as error:\n    print(error)",
        tmp_path,
    )
    assert found == "No module named 'transformers'"


def test_nothing_stays_among_the_finders_once_it_is_imported(tmp_path: Path) -> None:
    found = said_by(
        "import sys, transformers.utils.import_utils; model_search.search_once(); "
        "print([type(one).__module__ for one in sys.meta_path if 'harness' in type(one).__module__])",
        package(tmp_path, ""),
    )
    assert found == "[]"


HOOKED = """
import sys, importlib.machinery
class Other:
    def find_spec(self, name, path=None, target=None):
        if not name.startswith("transformers"):
            return None
        folder = [PLACE] if path is None else path
        return importlib.machinery.PathFinder.find_spec(name, folder, target)
sys.meta_path.insert(PLACE_OF_HOOK, Other())
import transformers.utils.import_utils
print(transformers.utils.import_utils.__name__)
"""


@pytest.mark.parametrize("place", [0, 1])
def test_what_another_finder_finds_is_found(tmp_path: Path, place: int) -> None:
    # Out of Python's own way, as an application's archive is.
    folder = package(tmp_path / "elsewhere", "")
    program = HOOKED.replace("PLACE_OF_HOOK", str(place)).replace("PLACE", repr(str(folder)))
    assert said_by(f"\n{program}") == "transformers.utils.import_utils"


def test_threads_that_ask_at_once_are_answered(tmp_path: Path) -> None:
    found = said_by(
        "\nimport sys, importlib.util, transformers.utils, concurrent.futures\n"
        "sys.setswitchinterval(1e-6)\n"
        f"ask = lambda _: importlib.util.find_spec('{SEARCHER}').name\n"
        "with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
        "    print({*pool.map(ask, range(400))})",
        package(tmp_path, ""),
    )
    assert found == f"{{'{SEARCHER}'}}"


def test_what_another_decorator_wraps_is_left_as_it_is(tmp_path: Path) -> None:
    text = (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(x):\n"
        f"        return 2 * f(x)\n    return g\n@twice\ndef {SEARCH}(x):\n    return x\n"
    )
    place = package(tmp_path, text)
    program = f"from transformers.utils.import_utils import {SEARCH} as search; print(search(2))"
    assert said_by(program, place) == "4"
