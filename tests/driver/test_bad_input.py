"""`report` and `compare` with every kind of bad input, on the real command."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests import documents
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
WHOLE = json.dumps(documents.document())
TEXTS = {
    "half": (WHOLE[: len(WHOLE) // 2], "not complete JSON"),
    "older": (json.dumps(documents.document(schema="assay/result/0")), "an older Assay"),
    "newer": (json.dumps(documents.document(schema="assay/result/2")), "a newer Assay"),
    "nan": (WHOLE.replace("26.2", "NaN"), "a figure is NaN"),
    "negative": (
        json.dumps(documents.document(metrics=documents.metrics(-4.0))),
        "p_infer_core is -4 items/s",
    ),
    "absurd": (
        json.dumps(documents.document(metrics=documents.metrics(1e13))),
        "p_infer_core is 1e+13 items/s",
    ),
    "hostile": (json.dumps(documents.document(schema=HOSTILE)), "its schema is"),
}


def text_in(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(text, encoding="utf-8")
    return folder


def measured(root: Path, chip: str, core: float = 1329.2, **key: object) -> Path:
    body = documents.document(job=documents.job(chip=chip, **key), metrics=documents.metrics(core))
    return documents.write(root, body)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one bad input of each kind."""
    root = tmp_path_factory.mktemp("bad") / "tree"
    measured(root / "good", "T4")
    for name, (text, _) in TEXTS.items():
        text_in(root / name, text)
    edited = documents.document(job=documents.job(batch_size=8))
    edited["metrics"]["p_infer_core"] = 7.0
    documents.write(root / "edited", edited)
    measured(root / "names", HOSTILE)
    text_in(root / "names" / "evil\x1b[31m", "{")
    measured(root / "one", "A30")
    measured(root / "other", "A30", 5.0)
    (root / "loop").symlink_to(root)
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "result.json")
    return root


@pytest.fixture(scope="module")
def reported(tree: Path) -> subprocess.CompletedProcess[str]:
    return assay("report", str(tree), home=tree.parent / "home", OUT=str(tree.parent / "out"))


def test_the_report_lists_each_with_its_reason_and_continues(
    reported: subprocess.CompletedProcess[str], tree: Path
) -> None:
    assert reported.returncode == 0
    for name, (_, reason) in TEXTS.items():
        assert f"{tree / name}/result.json: " in reported.stderr
        assert reason in reported.stderr
    for reason in (
        "it was edited after",
        "2 different results have the id",
        "points to its own parent",
    ):
        assert reason in reported.stderr
    assert "a pipe or a device" in reported.stderr
    assert "Traceback" not in reported.stderr


def test_the_report_marks_suspect_results(
    reported: subprocess.CompletedProcess[str],
) -> None:
    rows = [line for line in reported.stdout.splitlines() if line.startswith("| nvidia")]
    assert len(rows) == 5
    assert sum("edited" in row for row in rows) == 1
    assert sum("id not unique" in row for row in rows) == 2


def test_names_have_no_effect_on_terminal_page_markdown_and_csv(
    reported: subprocess.CompletedProcess[str], tree: Path
) -> None:
    folder = tree.parent / "out" / "report"
    names = ("report.html", "report.md", "results.csv", "problems.csv")
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    for text in (reported.stdout, reported.stderr, *texts):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<img src=x" not in texts[0]
    assert "<img src=x" not in texts[1]


@pytest.mark.parametrize("name", TEXTS)
def test_compare_refuses_unreadable_results_with_the_reason(tree: Path, name: str) -> None:
    done = assay("compare", "--a", str(tree / "good"), "--b", str(tree / name))
    assert done.returncode == 2
    assert TEXTS[name][1] in done.stderr
    assert "→" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("edited", "edited after it was written"),
        ("other", "different results have the id"),
    ],
)
def test_compare_gives_no_verdict_on_edited_results(tree: Path, other: str, words: str) -> None:
    done = assay("compare", "--a", str(tree / "one"), "--b", str(tree / other))
    assert "comparable: no" in done.stdout
    assert words in done.stdout
    assert "no verdict" in done.stdout


def test_compare_prints_names_as_text(tree: Path) -> None:
    done = assay("compare", "--a", str(tree / "names"), "--b", str(tree))
    assert done.returncode == 0
    assert "\\x1b[31m" in done.stdout
    for text in (done.stdout, done.stderr):
        assert "\x1b" not in text
        assert "\u202e" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read it; test_load drops root's rights")
def test_an_unreadable_folder_is_listed(tmp_path: Path) -> None:
    measured(tmp_path / "good", "T4")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    done = assay("report", str(tmp_path), home=tmp_path / "home", OUT=str(tmp_path / "out"))
    closed.chmod(0o755)
    assert done.returncode == 0
    assert f"{closed}: it cannot be read" in done.stderr


def test_an_empty_tree_has_a_remedy(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = assay("report", str(empty), home=tmp_path / "home", OUT=str(tmp_path / "out"))
    assert done.returncode == 2
    assert f"there is no result below {empty}" in done.stderr
    assert "make run" in done.stderr
    assert not (tmp_path / "out").exists()
    compared = assay("compare", "--a", str(empty), "--b", str(empty))
    assert compared.returncode == 2
    assert "no result.json was found" in compared.stderr


def test_a_missing_folder_is_refused_and_not_created(tmp_path: Path) -> None:
    gone, link = tmp_path / "reslts", tmp_path / "link"
    link.symlink_to(link)
    done = assay("report", str(gone), home=tmp_path / "home", OUT=str(tmp_path / "out"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert not gone.exists()
    looped = assay("report", str(link), home=tmp_path / "home", OUT=str(tmp_path / "out"))
    assert looped.returncode == 2
    assert "is a link to nothing, or to itself" in looped.stderr
