"""published.toml (schema ``assay/published/1``): figures that others printed, exactly as printed.

Every figure is a string that keeps the digits of its document ("2118.307", "/", "0.07/32.0"). Beside
the figures are the facts needed to compute with them (chip, arithmetic that ran, peaks, constants),
each with its source. Nothing is corrected here. ``driver.published.rules`` finds what can be computed;
what only this one document gets wrong is a ``[[notes]]`` entry.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from driver.models.base import Frozen, Name, Sha256
from driver.models.case import GateSpec

Arithmetic = Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]


class Document(Frozen):
    """The document that printed the figures."""

    number: str = Field(pattern=r"^\d{3}$")
    file: str
    sha256: Sha256
    title: str
    project: str


class ElsewhereIn(Frozen):
    """The tables are in another case's file: one document that names two models."""

    case: Name
    reason: str


class ModelFacts(Frozen):
    """What the recomputation needs; ``macs`` is used only without a case.toml."""

    parameters: int = Field(gt=0)
    macs: int = Field(gt=0, description="multiply-accumulates of one core item")
    macs_scope: str
    macs_published: float | None = Field(
        default=None, description="operations per item that the document divided by its peak"
    )
    macs_published_source: str = ""
    macs_published_note: str = Field(
        default="", description="why the constant differs from the count"
    )


class LoopFacts(Frozen):
    """How much the published runs computed, so that times can be compared with throughputs."""

    dataset_items: int = Field(ge=1)
    repeats: int = Field(
        ge=1, description="passes over the dataset, in validation and inference each"
    )
    steps_per_item: int = Field(default=1, ge=1)
    drop_last: bool = False
    printed_item: str = Field(default="", description="what the document says a throughput counts")
    counted_item: str = Field(default="", description="what its program counts")
    source: str


class MetricFacts(Frozen):
    """The accuracy figure: what the document calls it, and what its program computes."""

    printed: str
    actual: str
    source: str


class PublishedChip(Frozen):
    """A chip of the document. Peaks are dense operations per second, by arithmetic."""

    title: str
    vendor: Name
    known_as: str = Field(description="its name among the chips of the vendor's vendor.toml")
    peaks: dict[Arithmetic, float] = {}
    peaks_source: str
    published_peaks: dict[str, float] = Field(
        default={}, description="by printed precision: what the document divided by"
    )
    chips_per_card: int = Field(default=1, ge=1)


class Environment(Frozen):
    """The hardware and software that a section lists, as printed."""

    heading: str
    chips: tuple[str, ...] = ()
    settings: dict[str, str]


class FlagperfRow(Frozen):
    """A row of the FlagPerf table: eleven printed cells, then how to read them."""

    tool: str
    precision: str
    bs: str
    e2e_time: str
    p_val_whole: str
    p_val_core: str
    p_infer_whole: str
    p_infer_core: str
    mfu: str
    acc: str
    mem: str
    chip: str
    engine: Name
    arithmetic: Arithmetic

    @property
    def label(self) -> str:
        """Name the row: tool, precision, batch size."""
        return f"{self.tool} {self.precision} bs {self.bs}"


class FlagperfTable(Frozen):
    """The table of documents 000 to 002; ``metric`` is the header of its accuracy column."""

    id: Name
    heading: str
    metric: str
    rows: tuple[FlagperfRow, ...]

    @property
    def fields(self) -> tuple[int, tuple[str, ...]]:
        """Return the number of rows and the names of the columns that a note may concern."""
        return len(self.rows), tuple(FlagperfRow.model_fields)


class TableChip(Frozen):
    """A column of a throughput table; ``chips`` is how many chips a figure counts, null if not stated."""

    printed: str
    chip: str
    engine: Name
    arithmetic: Arithmetic | None = None
    chips: int | None = Field(default=None, ge=1)


class RatioColumn(Frozen):
    """A ratio column: printed name, and the printed names of the two columns."""

    printed: str
    numerator: str
    denominator: str


class ThroughputRow(Frozen):
    """One batch size (null for the best-batch row): one value per chip, one per ratio column."""

    label: str
    batch_size: int | None = Field(default=None, ge=1)
    values: tuple[str, ...]
    ratios: tuple[str, ...]

    @model_validator(mode="after")
    def _label_is_the_batch_size(self) -> ThroughputRow:
        if self.batch_size is not None and self.label.removeprefix("bs") != str(self.batch_size):
            raise ValueError(f"row {self.label!r} is transcribed as batch size {self.batch_size}")
        return self


class ThroughputTable(Frozen):
    """The throughput-by-batch table of documents 003 and 004."""

    id: Name
    heading: str
    corner: str
    chips: tuple[TableChip, ...]
    ratios: tuple[RatioColumn, ...]
    rows: tuple[ThroughputRow, ...]
    best: ThroughputRow

    @property
    def fields(self) -> tuple[int, tuple[str, ...]]:
        """Return the number of rows (best batch included) and the printed column headings."""
        columns = [column.printed for column in self.chips]
        return len(self.rows) + 1, (*columns, *(ratio.printed for ratio in self.ratios))

    @model_validator(mode="after")
    def _widths(self) -> ThroughputTable:
        for row in (*self.rows, self.best):
            if (len(row.values), len(row.ratios)) != (len(self.chips), len(self.ratios)):
                raise ValueError(
                    f"row {row.label!r} has {len(row.values)} values and {len(row.ratios)} ratios, "
                    f"the table has {len(self.chips)} chips and {len(self.ratios)} ratio columns"
                )
        return self


class TextTable(Frozen):
    """Any other table, as printed; ``headers_en`` translates its header."""

    id: Name
    heading: str
    headers: tuple[str, ...]
    headers_en: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def fields(self) -> tuple[int, tuple[str, ...]]:
        """Return the number of rows and the printed column headings."""
        return len(self.rows), self.headers

    @model_validator(mode="after")
    def _widths(self) -> TextTable:
        for cells in (self.headers_en, *self.rows):
            if len(cells) != len(self.headers):
                raise ValueError(f"{cells!r} has {len(cells)} cells, the table {len(self.headers)}")
        return self


class AccuracyTable(TextTable):
    """A table of accuracies: one column is the reference, others are chips'."""

    reference: str
    inference: dict[str, str] = Field(description="printed header → chip")


class StatisticalEvaluation(Frozen):
    """One "Overall statistical evaluation" document of a ModelZoo post-processing script."""

    heading: str
    chip: str
    batch_size: int = Field(ge=1)
    images: str
    classes: str
    top: tuple[str, ...]


class ToolLog(Frozen):
    """An excerpt of a vendor tool's output, line by line, as printed."""

    tool: Literal["trtexec", "benchmark"]
    heading: str
    chip: str
    batch_size: int = Field(ge=1)
    file: str | None = None
    lines: tuple[str, ...]


class TextFigure(Frozen):
    """A throughput that the text derives from a log: ``measured × factor = total``."""

    heading: str
    chip: str
    batch_size: int = Field(ge=1)
    text: str
    measured: str
    factor: str | None = None
    factor_is: Literal["batch", "chips"] | None = None
    total: str


class ClosingRatio(Frozen):
    """A ratio that the text claims between two columns of the throughput table, at best batch."""

    heading: str
    text: str
    numerator: str
    denominator: str
    printed: str


class Command(Frozen):
    """A command of the document: how its figures were made."""

    heading: str
    purpose: str
    text: str


class Candidate(Frozen):
    """A model that the document may mean, with its known top-1 accuracy."""

    case: Name
    title: str
    named_by: str
    top1: str
    parameters: int
    macs: int
    source: str


class Note(Frozen):
    """Something that is wrong in this document and that no rule would find in another one.

    ``kind`` is the severity, ``where`` the place in the document. ``printed`` and ``against`` are the
    two figures or texts that disagree; ``reason`` says why. ``table``, ``rows`` and ``column`` name the
    fields that the note concerns: the note's mark appears there. Rows count from 0; the best-batch row
    of a throughput table counts as its last one. In a FlagPerf table ``column`` is the field's name
    (``p_infer_core``), elsewhere the printed heading.
    """

    id: Name
    kind: Literal["contradiction", "misleading", "note"]
    where: str
    printed: str
    against: str
    reason: str
    source: str
    table: Name | None = None
    rows: tuple[Annotated[int, Field(ge=0)], ...] = ()
    column: str | None = None

    @model_validator(mode="after")
    def _fields_need_a_table(self) -> Note:
        if self.table is None and (self.rows or self.column):
            raise ValueError(f"note {self.id!r} names rows or a column, but no table")
        return self


class Published(Frozen):
    """published.toml (schema ``assay/published/1``)."""

    schema_: Literal["assay/published/1"] = Field(alias="schema")
    case: Name
    document: Document
    elsewhere: ElsewhereIn | None = None
    model: ModelFacts
    loops: LoopFacts | None = None
    metric: MetricFacts | None = None
    gate: GateSpec | None = Field(default=None, description="used only without a case.toml")
    chips: dict[str, PublishedChip] = {}
    environments: tuple[Environment, ...] = ()
    flagperf: tuple[FlagperfTable, ...] = ()
    throughput: tuple[ThroughputTable, ...] = ()
    accuracy: tuple[AccuracyTable, ...] = ()
    text: tuple[TextTable, ...] = ()
    reference_table: Name | None = None
    evaluations: tuple[StatisticalEvaluation, ...] = ()
    logs: tuple[ToolLog, ...] = ()
    figures: tuple[TextFigure, ...] = ()
    closing_ratios: tuple[ClosingRatio, ...] = ()
    commands: tuple[Command, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[Note, ...] = ()

    @model_validator(mode="after")
    def _chips_are_known(self) -> Published:
        used = {row.chip for table in self.flagperf for row in table.rows}
        used |= {column.chip for table in self.throughput for column in table.chips}
        used |= {chip for table in self.accuracy for chip in table.inference.values()}
        used |= {item.chip for item in self.evaluations}
        used |= {item.chip for item in self.logs}
        used |= {item.chip for item in self.figures}
        used |= {chip for environment in self.environments for chip in environment.chips}
        if unknown := sorted(used - set(self.chips)):
            raise ValueError(f"chips {unknown} are used but not listed under [chips]")
        return self

    @model_validator(mode="after")
    def _notes_concern_known_fields(self) -> Published:
        tables: dict[str, FlagperfTable | ThroughputTable | TextTable] = {}
        for group in (self.flagperf, self.throughput, self.accuracy, self.text):
            tables |= {table.id: table for table in group}
        for note in self.notes:
            if note.table is None:
                continue
            if note.table not in tables:
                raise ValueError(f"note {note.id!r} names table {note.table!r}, which is not here")
            count, columns = tables[note.table].fields
            if (last := max(note.rows, default=0)) >= count:
                raise ValueError(f"note {note.id!r} names row {last} (from 0) of {count} rows")
            if note.column not in (None, *columns):
                raise ValueError(f"note {note.id!r} names column {note.column!r}, not of {columns}")
        return self
