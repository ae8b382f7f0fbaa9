"""Our own words in titles, notes and notices, in Chinese. A text without an entry stays English.

The keys are the English texts as the code writes them, so that both stay readable where they are used.
Names of figures, engines and files, and everything that a result recorded, are never translated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver.published.columns import Language

CHINESE = {
    # Titles of tables.
    "published weights": "公开权重",
    "token by token": "逐 token 指标",
    "load scenarios": "负载场景",
    "trained-here weights": "本地训练权重",
    "synthetic weights": "合成权重",
    "real data": "真实数据",
    "synthetic data": "合成数据",
    "core counts unet steps": "core 按 UNet 步计数",
    "core counts tokens": "core 按 token 计数",
    "smoke run, not comparable": "冒烟运行，不可比较",
    "SIMULATED": "模拟",
    "weights": "权重",
    "data": "数据",
    # Marks in notes, and of columns.
    "simulated": "模拟",
    "synthetic": "合成",
    "smoke": "冒烟运行",
    "edited": "已被修改",
    "id not unique": "编号不唯一",
    "timed by the vendor's tool": "由厂商工具计时",
    "timed by its own hook": "由其自身钩子计时",
    "accuracy not checked": "未检查精度",
    "accuracy checked against fp32 golden outputs": "精度以 fp32 标准输出检查",
    "accuracy failed": "精度未达标",
    "not possible": "不可能",
    "failed": "失败",
    "skipped": "已跳过",
    "see the result": "见结果文件",
    "an unnamed host": "未命名主机",
    "on {host}": "主机 {host}",
    # Marks of figures (driver/results/concerns.py).
    "unstable": "不稳定",
    "warm-up not steady": "预热未稳定",
    "measured too briefly": "测量时间过短",
    "throttled": "降频",
    "device shared": "设备被共用",
    "faster from files than from memory": "从文件比从内存还快",
    "core outputs differ from the scored": "core 输出与计分输出不同",
    "device idled in the core loop": "core 循环中设备空闲",
    "engine in the harness's process": "引擎与测量程序同一进程",
    "clock not checked by the driver": "时钟未经驱动程序核对",
    "chip unconfirmed": "加速卡未确认",
    "LoadGen's run not valid": "LoadGen 判定该次运行无效",
    "faster with repeated samples than with fresh ones": "重复样本比新样本更快",
    "whole computes every step from the beginning": "whole 循环的每一步都从头计算",
    "part of a device": "仅设备的一部分",
    "arithmetic not read back": "算术未回读",
    "other arithmetic or target than asked": "实际算术或目标与要求不同",
    "faster than the chip can be": "比芯片可能的还快",
    "monitor failed": "监控失败",
    "compiled again": "重新编译",
    "odd data": "数据异常",
    "drifted while measured": "测量中速度漂移",
    # Verdicts of reruns (driver/rerun/reading.py).
    "reproduced": "已复现",
    "not reproduced": "未复现",
    "inconclusive": "无法判定",
    "a comparison, reproduced": "对比，已复现",
    "a comparison, not reproduced": "对比，未复现",
    "a comparison, inconclusive": "对比，无法判定",
    "without a verdict": "无结论",
    "its rerun.json is of another result": "其 rerun.json 属于另一结果",
    # Verdicts of audits (driver/audit/reading.py).
    "audit": "审核",
    "holds": "成立",
    "does not hold": "不成立",
    "cannot tell": "无法判断",
    "holds, but an earlier one did not": "成立，但此前一次不成立",
    "not audited": "未审核",
    "its audit does not hold": "审核不成立",
    # The head of the report.
    "results": "结果",
    "tables": "表",
    "cases": "用例",
    "chips": "加速卡",
    "failed runs": "失败的运行",
    "problems": "问题",
    "measured": "测量日期",
    "{count} simulated results are left out: SIMULATED=1 shows them, marked": "{count} 个模拟结果未显示：SIMULATED=1 会标注后显示",
    "{count} results with synthetic weights or data are left out: SYNTHETIC=1 shows them, marked": "{count} 个使用合成权重或数据的结果未显示：SYNTHETIC=1 会标注后显示",
    "{count} older results of the same job and host are left out: ALL=1 shows them; results.csv and results.parquet have them": "同一作业和主机的 {count} 个较早结果未显示：ALL=1 会显示；results.csv 和 results.parquet 中都有",
    "{count} runs failed or stopped early and left no newer figures, listed below": "{count} 次运行失败或提前中止，且没有更新的数据，列于下方",
    "only the newest {shown} of {count} rows are shown here; results.csv and results.parquet have all of them": "此处只显示 {count} 行中最新的 {shown} 行；results.csv 和 results.parquet 中有全部",
    "{count} problems, listed at the end with the reason": "{count} 个问题，连同原因列于末尾",
    # Markdown.
    "Assay report": "Assay 报告",
    "p_infer_core by batch size": "各批大小的 p_infer_core",
    "Failed and interrupted runs": "失败和中断的运行",
    "Cards of one kind": "同类加速卡",
    "configuration": "配置",
    "cards": "卡数",
    "median": "中位数",
    "slowest": "最慢",
    "fastest": "最快",
    "spread": "离散度",
    "stands out": "离群",
    "{card} stands out from the other cards of its kind: {ratio} of their median in {count} of {of} configurations": "{card} 与同类其他卡相比离群：{of} 种配置中有 {count} 种，为其中位数的 {ratio}",
    "Problems": "问题",
    "Every result that was found is usable.": "找到的结果全部可用。",
    "{count} more are in problems.csv.": "另有 {count} 个在 problems.csv 中。",
    # Headers of the tables of failed runs and of problems.
    "started": "开始时间",
    "host": "主机",
    "job": "作业",
    "stack": "软件栈",
    "kind": "类别",
    "what happened": "发生了什么",
    "file": "文件",
    "problem": "问题",
    "what to do": "处理方法",
    "Columns": "各列说明",
    "column": "列",
    "unit": "单位",
    "meaning": "含义",
    "item": "条",
}


RERUN = re.compile(r"rerun of (\w+)(?:: |; | )(.+)")


def said(text: str, language: Language) -> str:
    """Return our text in the language; a known label before ``: `` is translated, what follows it kept."""
    if language == "en":
        return text
    if text in CHINESE:
        return CHINESE[text]
    if (rerun := RERUN.fullmatch(text)) is not None:
        return f"{rerun[1]} 的重跑：{said(rerun[2], language)}"
    label, colon, rest = text.partition(": ")
    return f"{CHINESE[label]}：{said(rest, language)}" if colon and label in CHINESE else text
