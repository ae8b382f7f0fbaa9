"""The unit and the explanation of every column of the page's tables, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from driver.published.columns import Language


class Heading(NamedTuple):
    """A column's unit ("" for text) and what it is; "{item}" stands for what the core loop counts."""

    unit: str
    meaning: str


HEADINGS: dict[Language, tuple[Heading, ...]] = {
    "en": (
        Heading("", "vendor and chip; below it date, host, runner and stack of the run"),
        Heading("", "the engine that executed the model"),
        Heading(
            "",
            "the requested precision; hover over a cell for the arithmetic that the engine reported; the "
            "note says where none was read back",
        ),
        Heading("items", "batch size"),
        Heading("s", "from the start of the job to the result, all stages"),
        Heading("items/s", "validation in the vendor's framework, from files"),
        Heading("{item}s/s", "validation in the vendor's framework, from host memory"),
        Heading("items/s", "inference from files: read, decode, preprocess, compute, write"),
        Heading("{item}s/s", "inference from host memory to host memory: the key figure"),
        Heading("%", "2 × MACs × p_infer_core ÷ the dense peak of the arithmetic that ran"),
        Heading("", "accuracy of inference / of validation, over the whole dataset"),
        Heading("GiB", "peak device memory during infer / memory of the device"),
        Heading("", "what to know before using the figures; ! marks the figures concerned"),
    ),
    "zh": (
        Heading("", "厂商与加速卡；下方为日期、主机、运行方式和软件栈"),
        Heading("", "执行模型的引擎"),
        Heading("", "请求的精度；悬停可见引擎报告的算术；未回读时见备注"),
        Heading("条", "批大小"),
        Heading("s", "从作业开始到得到结果的全部时间"),
        Heading("条/s", "厂商框架的验证，从文件开始"),
        Heading("{item}/s", "厂商框架的验证，从主机内存开始"),
        Heading("条/s", "从文件开始的推理：读取、解码、预处理、计算、写出"),
        Heading("{item}/s", "从主机内存到主机内存的推理：关键指标"),
        Heading("%", "2 × MACs × p_infer_core ÷ 实际算术的稠密峰值"),
        Heading("", "推理精度 / 验证精度，整个数据集"),
        Heading("GiB", "推理期间设备显存峰值 / 设备显存"),
        Heading("", "使用数据前须知；! 标出受影响的数据"),
    ),
}
