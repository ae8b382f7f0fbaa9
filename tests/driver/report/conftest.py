"""A tree with everything that a report must show, and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from driver.report.build import ReportFiles, ReportOptions, report
from tests import documents
from tests.driver.published_figure import FIGURE_OF_000

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\x1b[31m\u202e=1+1|`*'


def make_tree(root: Path) -> Path:
    """Write results of two cases, with every kind of mark, below ``root``."""
    for place, size in enumerate((1, 4, 16, 64)):
        for chip, speed in (("A100-SXM4-40GB", 1.0), ("T4", 0.3)):
            core = 1400.0 * speed * size / (size + 6)
            documents.with_samples(
                root,
                {"infer-0-latency": np.arange(1000, 2000, dtype=np.int64) * 1000 * size},
                job=documents.job(chip=chip, batch_size=size),
                metrics=documents.metrics(core, mfu=2.0 + place),
                monitor=_monitor(),
            )
    bounds = {"reference": 79.3, "allowed_relative_drop": 0.01, "drop": 0.02}
    gate = {"passed": False, "reason": "too low", **bounds}
    fp32 = documents.job(precision="fp32")
    documents.write(root, documents.document(job=fp32, status="accuracy_failed", gate=gate))
    sam = documents.job(case="sam", vendor="kunlunxin", chip=HOSTILE, batch_size=2, tier="smoke")
    documents.write(root, documents.document(job=sam, metrics=documents.metrics(7.0, acc_val=None)))
    toy = documents.job(case="sam", chip="stand-in")
    documents.write(root, documents.document(job=toy, simulated=True))
    made_up = documents.job(case="sam", chip="made-up")
    documents.write(root, documents.document(job=made_up, weights="synthetic"))
    edited = documents.document(job=documents.job(batch_size=8))
    edited["metrics"]["p_infer_core"] = 99999.0
    documents.write(root, edited)
    (root / "broken").mkdir()
    (root / "broken" / "result.json").write_text('{"schema": "assay/result/1", ', encoding="utf-8")
    return root


def _monitor() -> dict[str, object]:
    samples = [
        {
            "t_s": float(t),
            "devices": [{"device": "0", "memory_used_bytes": t << 30, "power_w": 50.0}],
        }
        for t in range(8)
    ]
    return {"parser": "nvidia-smi", "interval_s": 1.0, "samples": samples}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    folder = tmp_path_factory.mktemp("report")
    options = ReportOptions(out=folder / "out", published=(FIGURE_OF_000,))
    return report([make_tree(folder / "results")], options)
