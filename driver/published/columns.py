"""The words in tables: the documents' own column names, and ours, in English and Chinese."""

from __future__ import annotations

from typing import Literal

from driver.errors import unknown

Language = Literal["en", "zh"]

LANGUAGES: tuple[Language, ...] = ("en", "zh")

TOOL = {"en": "tool", "zh": "推理工具"}
FLAGPERF = (
    "precision",
    "bs",
    "e2e_time",
    "p_val_whole",
    "p_val_core",
    "p_infer_whole",
    "*p_infer_core",
    "*MFU",
)
"""Columns between the tool and the accuracy; the documents print them in Latin letters."""

ACCURACY = "acc"
MEMORY = "mem"
CHIP = {"en": "chip", "zh": "加速卡"}
ORIGIN = {
    "en": ("date", "host", "runner", "stack"),
    "zh": ("日期", "主机", "运行方式", "软件栈"),
}
NOTE = {"en": "note", "zh": "备注"}
MFU_THEIRS = {"en": "MFU, their convention, recomputed", "zh": "MFU（原文算法重算）"}
MFU_OURS = {"en": "MFU, ours (2 × MACs, peak of what ran)", "zh": "MFU（2×MACs，实际算术峰值）"}
LOOPS = {"en": "loops, s, recomputed", "zh": "循环时间（秒，重算）"}
GATE = {"en": "accuracy gate", "zh": "精度门限"}
MARKS = {"en": "marks", "zh": "标注"}
RECOMPUTED = {"en": "{}, recomputed", "zh": "{}（重算）"}
BEST = {"en": "best batch", "zh": "最优batch"}
BEST_MFU = {"en": "MFU, ours", "zh": "MFU（本套件）"}
PASSED: dict[str, dict[bool | None, str]] = {
    "en": {True: "passes", False: "FAILS", None: "/"},
    "zh": {True: "通过", False: "未通过", None: "/"},
}
EVALUATION = {
    "en": ("chip", "bs", "Number of images", "Number of classes"),
    "zh": ("加速卡", "bs", "Number of images", "Number of classes"),
}
TOP = "Top{} accuracy"
"""The key of the "Overall statistical evaluation" documents, the same in both languages."""

DERIVED = {
    "en": ("chip", "bs", "measured", "factor", "text", "table", "end to end (log)", "marks"),
    "zh": ("加速卡", "bs", "实测", "倍数", "正文", "表格", "端到端（日志）", "标注"),
}
FINDINGS = {
    "en": ("#", "kind", "where", "printed", "against", "reason", "source"),
    "zh": ("#", "类别", "位置", "原文", "对照", "理由", "来源"),
}
KINDS = {
    "en": {
        "contradiction": "contradiction",
        "misleading": "misleading",
        "rounding": "rounding",
        "note": "note",
    },
    "zh": {
        "contradiction": "矛盾",
        "misleading": "易误解",
        "rounding": "舍入",
        "note": "备注",
    },
}
TITLES = {
    "results": {"en": "results", "zh": "指标值"},
    "throughput": {"en": "throughput by batch size", "zh": "性能对比"},
    "accuracy": {"en": "accuracy", "zh": "精度对比"},
    "evaluations": {"en": "Overall statistical evaluation", "zh": "TopN精度统计"},
    "derived": {"en": "throughputs that the text derives from logs", "zh": "正文中的吞吐率"},
    "findings": {"en": "findings", "zh": "原文中的矛盾"},
    "dataset": {"en": "dataset", "zh": "推理数据集"},
    "indicators": {"en": "indicators", "zh": "指标列表"},
    "inputs": {"en": "inputs", "zh": "输入数据"},
    "outputs": {"en": "outputs", "zh": "输出数据"},
    "versions": {"en": "versions", "zh": "版本配套表"},
    "timm": {"en": "accuracy of the open-source model", "zh": "开源TopN精度"},
}


def language_of(text: str) -> Language:
    """Return the language of ``LANG=``; a locale such as ``zh_CN.UTF-8`` counts too.

    UsageFault for a language without column names.
    """
    short = text.split(".", maxsplit=1)[0].split("_", maxsplit=1)[0].lower()
    if short in ("c", "posix", ""):
        return "en"
    for language in LANGUAGES:
        if short == language:
            return language
    raise unknown("language", text, LANGUAGES)
