"""The manifest of a case, case.toml: model, weights, data, metric, gate, preprocessing."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from driver.models.base import DType, Frozen, Name, Sha256, StageName, Tier


class TensorSpec(Frozen):
    """One input or output of the exported graph; ``shape`` excludes the batch axis."""

    name: str = Field(description="name in the exported graph")
    shape: tuple[int, ...] = Field(description="without the batch axis")
    dtype: DType = Field(
        default="float32",
        description="element type in the graph; bfloat16 is passed as float32 in host memory",
    )
    batched: bool = Field(
        default=True,
        description="false for a tensor without a batch axis, such as a diffusion model's timestep (shape [])",
    )
    rows_per_item: int = Field(
        default=1,
        ge=1,
        description="rows of the tensor per item: 2 with classifier-free guidance",
    )


FormatKind = Literal["huggingface", "pth", "npz"]
"""The contents of a weights folder: a Hugging Face repository, a torch checkpoint, a numpy archive."""


TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
ItemName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 -]{0,30}$")]
"""The singular noun of what a figure counts: ``image``, ``unet step``, ``question``."""

OptionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class LookupSpec(Frozen):
    """Embedding tables, of which an item reads a few rows: most of their parameters are not read in a call."""

    parameters: int = Field(gt=0, description="parameters of these tables")
    elements: int = Field(gt=0, description="how many of them one core item reads")


class ModelSpec(Frozen):
    """The architecture and its size."""

    architecture: str = Field(description="class that builds it")
    inputs: tuple[TensorSpec, ...] = Field(description="of the exported graph, in its order")
    outputs: tuple[TensorSpec, ...] = Field(description="of the exported graph, in its order")
    parameters: int = Field(gt=0, description="number of parameters")
    macs: int = Field(
        gt=0, description="multiply-accumulates of one core item, counted from the model"
    )
    macs_scope: str = Field(description="what the count includes")
    weights_dtype: Literal["float32", "float16", "bfloat16"] = Field(
        default="float32",
        description="element type in which export and score keep the weights in memory",
    )
    macs_published: int | None = Field(
        default=None,
        description="the constant of the published MFU convention, as printed",
    )
    macs_published_source: str = Field(default="", description="where that constant is published")
    lookups: LookupSpec | None = Field(
        default=None,
        description="embedding tables, for a model most of whose parameters are in them",
    )

    @model_validator(mode="after")
    def _tables_are_part_of_the_model(self) -> Self:
        if self.lookups is not None and self.lookups.parameters > self.parameters:
            raise ValueError(
                f"lookups.parameters is {self.lookups.parameters}, but the model has {self.parameters}"
            )
        return self


class WeightsFile(Frozen):
    """A file of the weights, with its size and digests if known."""

    name: str = Field(description="relative to the weights' folder")
    bytes: int | None = Field(default=None, description="exact size")
    sha256: Sha256 | None = Field(default=None, description="required digest")
    md5: str | None = Field(default=None, description="digest that its publisher gives")
    optional: bool = Field(default=False, description="true: it may be absent")


class WeightsFormat(Frozen):
    """A format of the weights: a Hugging Face folder, a timm .pth, an augreg .npz."""

    kind: FormatKind = Field(
        description="a Hugging Face folder, a torch checkpoint (timm), or numpy arrays (augreg)"
    )
    hub_id: str | None = Field(default=None, description="name on the Hugging Face hub")
    files: tuple[WeightsFile, ...] = Field(default=(), description="required files")
    source: str = Field(description="where to get it, in words")


class WeightsSpec(Frozen):
    """Where weights come from; ``bundled`` is a folder inside the case."""

    formats: tuple[WeightsFormat, ...] = Field(description="accepted formats")
    bundled: str | None = Field(default=None, description="folder of the case with the weights")
    scoring: bool = Field(
        default=False, description="true: scoring gets them too, for a metric that uses a model"
    )


class SyntheticData(Frozen):
    """The items that ``DATA=synthetic`` generates."""

    count: int = Field(default=256, ge=1, description="number of pictures or prompts")
    width: int = Field(default=500, description="pixels")
    height: int = Field(default=375, description="pixels")
    seed: int = Field(default=0, description="seed of the generator")


class MaskSpec(Frozen):
    """Files beside a single picture that only scoring sees: ``<stem><number><suffix>``, from 0."""

    stem: str = Field(description="prefix of their names")
    count: int = Field(ge=1, description="how many there must be, if any")
    suffixes: tuple[str, ...] = Field(
        default=(".pt", ".npy", ".png"), description="accepted file types"
    )

    def names(self) -> tuple[str, ...]:
        """Return every valid name of such a file."""
        return tuple(
            f"{self.stem}{number}{suffix}"
            for number in range(self.count)
            for suffix in self.suffixes
        )


class ArchiveSpec(Frozen):
    """The archive in which a dataset is published, and its published md5."""

    file: str = Field(description="file name")
    md5: str = Field(pattern=r"^[0-9a-f]{32}$", description="as its publisher gives it")


READ = {"weights", "options"}
"""What a dataset.py may read besides its source, and does unless the case says otherwise."""


class DataSpec(Frozen):
    """The dataset: its layout, size and source."""

    dataset: str = Field(description="its name, a key of [datasets] in assay.local.toml")
    layout: Literal["imagefolder", "picture", "prompts", "own"] = Field(
        description="a folder per class, one repeated picture, prompts, or `own`: whatever the case's "
        "dataset.py reads"
    )
    form: str = Field(
        default="", description="what DATA names, in words; required for the layout `own`"
    )
    count: int = Field(ge=1, description="items of the whole dataset")
    classes: int | None = Field(default=None, description="required number of class folders")
    bundled: str | None = Field(default=None, description="folder of the case with the dataset")
    reads: tuple[Literal["weights", "options"], ...] = Field(
        default=("weights", "options"),
        description="what dataset.py reads besides its source: `weights`, such as a vocabulary, and the "
        "case's `options`. It gets nothing else, and items are made again only for others of these",
    )
    files: tuple[str, ...] = Field(
        default=(),
        description="patterns (val2017/*) of the files of a folder that dataset.py reads; all if empty. A "
        "change of other files is not seen",
    )
    suffixes: tuple[str, ...] = Field(
        default=(".jpeg", ".jpg", ".png"), description="suffixes of the item files"
    )
    masks: MaskSpec | None = Field(
        default=None, description="optional golden masks beside the picture"
    )
    archive: ArchiveSpec | None = Field(
        default=None, description="the archive in which it is published"
    )
    class_names: str | None = Field(
        default=None, description="regular expression that every class folder's name must match"
    )
    synthetic: SyntheticData = Field(
        default=SyntheticData.model_construct(), description="what DATA=synthetic generates"
    )
    source: str = Field(default="", description="where to get it, in words")

    @model_validator(mode="after")
    def _own_layout_says_what_data_names(self) -> Self:
        if self.layout == "own" and not self.form.strip():
            raise ValueError("the layout `own` needs `form`: what DATA names, in words")
        return self

    @model_validator(mode="after")
    def _only_dataset_py_reads(self) -> Self:
        given = "files" if self.files else "reads" if set(self.reads) != READ else None
        if self.layout != "own" and given is not None:
            raise ValueError(f"{given} is for the layout `own`, whose dataset.py reads it")
        return self


class CalibrationSpec(Frozen):
    """Items that a quantized graph is calibrated on; no accuracy is measured on them."""

    bundled: str = Field(description="folder of the case with these files, without labels")
    source: str = Field(description="where they come from, and why none is in the dataset")


class MetricSpec(Frozen):
    """The accuracy figure of the case."""

    name: str = Field(description="the figure from task.py's score() that tables show")
    unit: str = Field(default="", description="printed after the figure")
    also: tuple[str, ...] = Field(default=(), description="further figures to record")
    higher_is_better: bool = Field(default=True, description="false if lower is better")


class GateSpec(Frozen):
    """How far accuracy may fall below validation (relative), and why."""

    relative_drop: float = Field(
        ge=0, le=1, description="share by which infer's figure may be below validate's"
    )
    fidelity_cosine_min: float | None = Field(
        default=None,
        description="minimum cosine of raw outputs with fp32's, below fp32 precision; with a validated "
        "accuracy, ten times as far from 1",
    )
    fidelity_cosine_min_fp32: float | None = Field(
        default=None, description="the same for fp32, if not 0.99999"
    )
    reason: str = Field(description="why these bounds, with source")


class RerunSpec(Frozen):
    """When a rerun of a result reproduces it: declared here, carried by every result of the case."""

    throughput_fraction: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="share by which throughput may differ; beyond it, overlapping intervals over "
        "processes are inconclusive",
    )
    predictions: Literal["identical", "fidelity"] = Field(
        default="fidelity",
        description="`identical`: the same predictions to the bit; `fidelity`: raw outputs whose cosine "
        "to fp32's reaches `cosine_min`",
    )
    cosine_min: float | None = Field(
        default=None,
        description="for `fidelity`; the gate's `fidelity_cosine_min` where it is absent",
    )
    reason: str = Field(
        default="the defaults, whose reasons are in docs/bundles.md", description="why these"
    )


OptionValue = int | float | bool | str


class OptionSpec(Frozen):
    """A variable of this case: ``STEPS=3`` for the table [options.steps]."""

    type: Literal["int", "float", "bool", "text"] = Field(description="type of its value")
    default: OptionValue | None = Field(
        default=None, description="default value; an option that counts items has none"
    )
    help: str = Field(description="one line of help")
    least: float | None = Field(default=None, description="smallest allowed number")
    most: float | None = Field(default=None, description="largest allowed number")
    choices: tuple[str, ...] = Field(default=(), description="allowed texts; any if empty")
    smaller_is_smoke: bool = Field(
        default=False, description="true: a value below the default makes the run a smoke run"
    )
    counts_items: bool = Field(
        default=False, description="true: the option is the number of dataset items to use"
    )
    trial: OptionValue | None = Field(default=None, description="value for `make check`")

    @model_validator(mode="after")
    def _defaults_fit(self) -> Self:
        if self.counts_items and (self.type != "int" or self.default is not None):
            raise ValueError(
                "an option that counts items must be an int without a default, which is data.count"
            )
        if not self.counts_items and self.default is None:
            raise ValueError("an option needs a default")
        for value in (self.default, self.trial):
            if value is not None and not _is_of(value, self.type):
                raise ValueError(f"{value!r} is not of type {self.type}")
        return self


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "text": (str,),
}


def _is_of(value: OptionValue, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "bool" or not isinstance(value, bool))


class GenerationSpec(Frozen):
    """Sizes of a decoder-only language model: its cache and its work per token follow from them."""

    context: int = Field(ge=2, description="longest sequence in tokens, prompt included")
    hidden: int = Field(ge=1, description="width of the last layer, which the logits are made of")
    layers: int = Field(ge=1, description="layers that keep keys and values")
    heads: int = Field(ge=1, description="query heads of a layer")
    kv_heads: int = Field(ge=1, description="heads of the keys and values of a layer")
    head_size: int = Field(ge=1, description="width of a head")


class ScenarioSpec(Frozen):
    """Defaults of the case's load scenarios."""

    latency_bound_ms: float | None = Field(
        default=None,
        gt=0,
        description="default of LATENCY_BOUND for SCENARIO=server, in ms; of a language model, for the "
        "first token",
    )
    token_bound_ms: float | None = Field(
        default=None, gt=0, description="of a language model: the same for each later token"
    )
    source: str = Field(default="", description="where the bound comes from")


GENERATION_OPTIONS = ("prompt", "tokens")
"""Options of a case of generation: the tokens of a prompt, and those that it gets."""

BOUND_OPTIONS = ("ttft_ms", "tpot_ms")
"""Options that it may have: the bounds within which a request counts as goodput. Both, or none."""


class CaseRun(Frozen):
    """Defaults of a run of this case."""

    batch_size: int = Field(ge=1, description="default of BS")
    tier: Tier = Field(default=Tier.STANDARD, description="default of TIER")
    golden_count: int = Field(default=64, ge=1, description="items with fp32 golden outputs")
    memory_gib: dict[StageName, float] = Field(default={}, description="memory limit by stage, GiB")
    timeout_s: dict[StageName, float] = Field(
        default={}, description="time limit by stage, seconds"
    )


class CaseManifest(Frozen):
    """case.toml (schema ``assay/case/1``)."""

    schema_: Literal["assay/case/1"] = Field(alias="schema", description="always assay/case/1")
    name: Name = Field(description="the folder's name")
    title: str = Field(description="display name")
    aliases: tuple[Name, ...] = Field(default=(), description="short names")
    task: TaskName = Field(
        description="the field's name for what the model does; task.py defines it (docs/contract.md)"
    )
    item: ItemName = Field(
        default="image", description="item that p_infer_whole counts, in the singular"
    )
    core_item: ItemName = Field(
        default="image", description="item that p_infer_core counts, in the singular"
    )
    model: ModelSpec = Field(description="the architecture and its size")
    weights: WeightsSpec = Field(description="where weights come from")
    data: DataSpec = Field(description="the dataset")
    calibration: CalibrationSpec | None = Field(
        default=None, description="items that a quantized graph is calibrated on"
    )
    metric: MetricSpec = Field(description="the accuracy figure")
    gate: GateSpec = Field(description="how far accuracy may fall")
    run: CaseRun = Field(description="defaults of a run")
    rerun: RerunSpec = Field(
        default=RerunSpec.model_construct(), description="when a rerun of a result reproduces it"
    )
    preprocess: dict[str, dict[str, Any]] = Field(
        default={},
        description="named sets of constants, each with its source; `default` is the default",
    )
    constants: dict[str, Any] = Field(
        default={}, description="values for model.py and task.py that users cannot change"
    )
    options: dict[OptionName, OptionSpec] = Field(
        default={}, description="values that users can change, each by the variable of its name"
    )
    scenarios: ScenarioSpec = Field(
        default=ScenarioSpec.model_construct(), description="defaults of load scenarios"
    )
    generation: GenerationSpec | None = Field(
        default=None, description="of a language model that generates token by token"
    )

    @model_validator(mode="after")
    def _one_meaning_a_name(self) -> Self:
        both = sorted(set(self.constants) & set(self.options))
        if both:
            raise ValueError(f"{both[0]} is both a constant and an option")
        if sum(option.counts_items for option in self.options.values()) > 1:
            raise ValueError("only one option may count items")
        return self

    @model_validator(mode="after")
    def _generates_from_tokens(self) -> Self:
        if self.generation is None:
            return self
        lengths = [self.options.get(name) for name in GENERATION_OPTIONS]
        if any(option is None or option.type != "int" for option in lengths):
            raise ValueError("[generation] needs the options `prompt` and `tokens`, of type int")
        bounds = [self.options[name].type for name in BOUND_OPTIONS if name in self.options]
        if bounds and bounds != ["float", "float"]:
            raise ValueError("goodput needs the options `ttft_ms` and `tpot_ms`, of type float")
        tokens, logits = self.model.inputs, self.model.outputs
        if [(spec.dtype, spec.shape) for spec in tokens] != [("int64", ())]:
            raise ValueError("[generation] needs one input, tokens: int64, shape []")
        if [len(spec.shape) for spec in logits] != [1]:
            raise ValueError("[generation] needs one output, logits: shape [vocabulary]")
        return self

    @property
    def item_option(self) -> str | None:
        """The name of the option that counts items, None without one."""
        return next((name for name, one in self.options.items() if one.counts_items), None)
