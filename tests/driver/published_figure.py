"""A row of document 000, for tests that compare results with it."""

from __future__ import annotations

from driver.published.rows import PublishedFigure

FIGURE_OF_000 = PublishedFigure(
    case="vit_l_16",
    document="000",
    project="FlagPerf",
    table="results",
    row=0,
    vendor="nvidia",
    chip="A100-SXM4-40GB",
    title="NVIDIA A100-SXM4-40GB",
    known_as="A100-SXM4-40GB",  # as tests/documents.py calls its chip
    engine="tensorrt",
    tool="tensorrt",
    precision="fp16",
    arithmetic="fp16",
    batch_size=64,
    p_infer_core=1329.2,
    p_infer_whole=825.8,
)
