"""The manifests that a case, a vendor and a stack write: case.toml, vendor.toml, stack.toml."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from driver.models.base import Clock, DType, Frozen, Name, Sha256, StageName, Tier
from driver.models.device_access import DeviceSpec, check_variables


# --- case.toml ---------------------------------------------------------------------------------
class TensorSpec(Frozen):
    """One input or output of the exported graph; ``shape`` leaves the batch axis out."""

    name: str = Field(description="as the exported graph calls it")
    shape: tuple[int, ...] = Field(description="without the batch axis")
    dtype: DType = Field(
        default="float32",
        description="of the graph; bfloat16 is handed over as float32 in host memory",
    )
    batched: bool = Field(
        default=True,
        description="false for a tensor without batch axis, such as a diffusion model's timestep (shape [])",
    )
    rows_per_item: int = Field(
        default=1,
        ge=1,
        description="rows of the tensor that one item takes: 2 with classifier-free guidance",
    )


class ModelSpec(Frozen):
    """The architecture and its size."""

    architecture: str = Field(description="class that builds it")
    inputs: tuple[TensorSpec, ...] = Field(description="of the exported graph, in its order")
    outputs: tuple[TensorSpec, ...] = Field(description="of the exported graph, in its order")
    parameters: int = Field(gt=0, description="numbers that the model holds")
    macs: int = Field(
        gt=0, description="multiply-accumulates of one core item, counted from the model"
    )
    macs_scope: str = Field(description="what the count includes")
    macs_published: int | None = Field(
        default=None,
        description="the constant that the seeds' MFU convention uses, as printed there",
    )
    macs_published_source: str = Field(default="", description="where that constant is printed")


class WeightsFile(Frozen):
    """One file that must be there, with what it must be where that is known."""

    name: str = Field(description="relative to the weights' folder")
    bytes: int | None = Field(default=None, description="exact size")
    sha256: Sha256 | None = Field(default=None, description="digest that the file must have")
    md5: str | None = Field(default=None, description="digest that its maker prints")
    optional: bool = Field(default=False, description="true: its absence is no failure")


class WeightsFormat(Frozen):
    """One form in which the weights may come: a Hugging Face folder, a timm .pth, an augreg .npz."""

    kind: Literal["huggingface", "pth", "npz"] = Field(
        description="a Hugging Face folder, a torch checkpoint (timm), or numpy arrays (augreg)"
    )
    hub_id: str | None = Field(default=None, description="name on the Hugging Face hub")
    files: tuple[WeightsFile, ...] = Field(default=(), description="what must be there")
    source: str = Field(description="where to get it, in words")


class WeightsSpec(Frozen):
    """Where weights come from; ``bundled`` is a folder of the case itself."""

    formats: tuple[WeightsFormat, ...] = Field(description="forms in which the weights may come")
    bundled: str | None = Field(default=None, description="folder of the case that holds them")
    scoring: bool = Field(
        default=False, description="scoring gets them too: among them is a model that judges"
    )


class SyntheticData(Frozen):
    """The pictures that ``DATA=synthetic`` makes."""

    count: int = Field(default=256, ge=1, description="pictures, or prompts")
    width: int = Field(default=500, description="pixels")
    height: int = Field(default=375, description="pixels")
    seed: int = Field(default=0, description="the same seed draws the same pictures")


class ArchiveSpec(Frozen):
    """The archive in which a dataset is handed out, and the md5 that its maker prints."""

    file: str = Field(description="name of the archive")
    md5: str = Field(pattern=r"^[0-9a-f]{32}$", description="as its maker prints it")


class DataSpec(Frozen):
    """The dataset: its layout, how many items it has, where a bundled one lies."""

    dataset: str = Field(description="its name: a key of [datasets] in assay.local.toml")
    layout: Literal["imagefolder", "picture", "prompts"] = Field(
        description="folders of classes, one picture repeated, or prompts"
    )
    count: int = Field(ge=1, description="items of the whole dataset")
    classes: int | None = Field(default=None, description="class folders that there must be")
    bundled: str | None = Field(default=None, description="folder of the case that holds it")
    suffixes: tuple[str, ...] = Field(
        default=(".jpeg", ".jpg", ".png"), description="of the files that are items"
    )
    archive: ArchiveSpec | None = Field(
        default=None, description="the archive in which it is handed out"
    )
    class_names: str | None = Field(
        default=None, description="regular expression that every class folder's name must match"
    )
    synthetic: SyntheticData = Field(
        default=SyntheticData(), description="what DATA=synthetic draws"
    )
    source: str = Field(default="", description="where to get it, in words")


class MetricSpec(Frozen):
    """The accuracy figure of the case."""

    name: str = Field(description="the figure of task.py's score() that tables show")
    unit: str = Field(default="", description="printed behind it")
    also: tuple[str, ...] = Field(default=(), description="further figures that are kept")
    higher_is_better: bool = Field(default=True, description="false where less is better")


class GateSpec(Frozen):
    """How far accuracy may lie below validation (relative), and why that far."""

    relative_drop: float = Field(
        ge=0, le=1, description="share by which infer's figure may lie below validate's"
    )
    fidelity_cosine_min: float | None = Field(
        default=None, description="without labels: least cosine of raw outputs against fp32's"
    )
    reason: str = Field(description="why that far, with its source")


class CaseRun(Frozen):
    """Defaults of a run of this case."""

    batch_size: int = Field(ge=1, description="where BS is not given")
    tier: Tier = Field(default=Tier.STANDARD, description="where TIER is not given")
    golden_count: int = Field(default=64, ge=1, description="items with fp32 golden outputs")
    memory_gib: dict[StageName, float] = Field(
        default={}, description="limit of a stage, GiB, by its name"
    )
    timeout_s: dict[StageName, float] = Field(
        default={}, description="limit of a stage, seconds, by its name"
    )


class CaseManifest(Frozen):
    """case.toml (schema ``assay/case/1``)."""

    schema_: Literal["assay/case/1"] = Field(alias="schema", description="always assay/case/1")
    name: Name = Field(description="the folder's name")
    title: str = Field(description="for people")
    aliases: tuple[Name, ...] = Field(default=(), description="short names")
    task: Literal["image-classification", "mask-generation", "text-to-image"] = Field(
        description="which preprocessing and predictions hold (docs/contract.md)"
    )
    item: Literal["image", "prompt"] = Field(
        default="image", description="what p_infer_whole counts"
    )
    core_item: Literal["image", "unet step"] = Field(
        default="image", description="what p_infer_core counts"
    )
    seed_document: str | None = Field(default=None, description="number of the seed document")
    model: ModelSpec = Field(description="the architecture and its size")
    weights: WeightsSpec = Field(description="where weights come from")
    data: DataSpec = Field(description="the dataset")
    metric: MetricSpec = Field(description="the accuracy figure")
    gate: GateSpec = Field(description="how far accuracy may fall")
    run: CaseRun = Field(description="defaults of a run")
    preprocess: dict[str, dict[str, Any]] = Field(
        default={}, description="named sets of constants, each with its source; `default` is used"
    )
    options: dict[str, Any] = Field(default={}, description="what model.py and task.py read")


# --- vendor.toml -------------------------------------------------------------------------------
class ExportNeeds(Frozen):
    """What an engine asks of the exported graph."""

    opset: int = Field(default=18, ge=9, description="ONNX opset that the SDK reads")
    batch: Literal["dynamic", "static"] = Field(
        default="dynamic", description="whether the graph's batch axis stays open"
    )
    simplify: bool = Field(
        default=True, description="false: the graph as torch exports it, not by onnxsim"
    )


class PrecisionSpec(Frozen):
    """A precision an engine offers: the arithmetic that really runs decides which peak counts."""

    arithmetic: Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"] = Field(
        description="what really runs, whose peak MFU is held against: TF32 is not fp32, W32A16 is fp16"
    )
    options: dict[str, Any] = Field(
        default={}, description="for the engine: self.job.precision_options"
    )
    env: dict[str, str] = Field(default={}, description="variables of the vendor's stages")


class EngineSpec(Frozen):
    """One engine of a vendor."""

    title: str = Field(default="", description="for people")
    stacks: tuple[Name, ...] = Field(description="stacks that have it, the vendor's choice first")
    precisions: dict[Name, PrecisionSpec] = Field(description="by the name that PRECISION= gives")
    default_precision: Name = Field(description="where PRECISION is not given")
    needs: Literal["onnx", "weights"] = Field(
        default="onnx",
        description="what its stages get: the exported graph, or the user's weights as well",
    )
    export: ExportNeeds = Field(
        default=ExportNeeds(), description="what it asks of the exported graph"
    )
    validate_engine: Name | None = Field(
        default=None, description="engine of the same stack that is the framework's own inference"
    )
    clock: Clock = Field(
        default="harness", description="whose loop gives the core figure, as its reports say too"
    )
    options: dict[str, Any] = Field(
        default={}, description="for the engine: self.job.engine_options"
    )


def _are_operations_a_second(peak: float) -> float:
    if peak < LEAST_PEAK:
        raise ValueError(
            f"{peak:g} is less than any chip computes: peaks are operations a second, "
            "for example 4.0e12 (4 TFLOPS)"
        )
    return peak


LEAST_PEAK = 1e9
Peak = Annotated[float, AfterValidator(_are_operations_a_second)]


class ChipSpec(Frozen):
    """A hardware model with its dense peaks, operations a second by arithmetic."""

    title: str = Field(description="for people")
    match: tuple[str, ...] = Field(
        default=(), description="names, whole, under which the monitor knows it"
    )
    peaks: dict[str, Peak] = Field(
        default={},
        description="dense operations a second (two a multiply-accumulate) by arithmetic, for example "
        "{ fp16 = 65e12 } for 65 TFLOPS; MFU is held against that of the arithmetic which ran",
    )
    peaks_source: str = Field(
        default="", description="where the peaks are printed; required with peaks"
    )
    lacks: dict[str, str] = Field(
        default={},
        description="arithmetic that the chip has not, and what would run instead: refused by name",
    )
    published_peaks: dict[str, Peak] = Field(
        default={}, description="peak by printed precision that the seeds divided by"
    )
    memory_gib: float | None = Field(default=None, description="of one chip")
    chips_per_card: int = Field(
        default=1, description="a figure counts one chip, whatever its card carries"
    )
    options: dict[str, Any] = Field(default={}, description="for the engine: self.job.chip_options")


Command = tuple[str, ...]
OWN_PROGRAM = "A first word with a slash, `./acme-smi`, lies in the vendor's folder"


def lies_in_folder(command: Command) -> bool:
    """Say whether a command's program is a file of the vendor's folder."""
    return bool(command) and "/" in command[0] and not command[0].startswith("/")


class MonitorSpec(Frozen):
    """The command that tells memory, power, temperature, utilisation and clock."""

    parser: Literal["none", "proc", "json", "nvidia-smi", "npu-smi", "xpu_smi", "mx-smi"] = Field(
        default="none",
        description="who reads what the command prints: `json` takes the document of any program "
        "(docs/manifests.md shows it), `proc` is the kernel's files of this host",
    )
    command: Command = Field(
        default=(), description="words of the command; absent: the parser's own. " + OWN_PROGRAM
    )
    interval_s: float = Field(
        default=1.0, gt=0, description="seconds between two readings while a stage runs"
    )
    timeout_s: float = Field(
        default=5.0, gt=0, description="seconds after which a reading is given up"
    )

    @model_validator(mode="after")
    def _names_whom_to_ask(self) -> Self:
        if self.parser == "json" and not self.command:
            raise ValueError('parser = "json" needs a command, for example ["./acme-smi"]')
        return self


class DriverRequirement(Frozen):
    """The oldest driver that a stack runs on."""

    minimum: str = Field(description="oldest release of the host driver")
    older_branches: tuple[str, ...] = Field(
        default=(),
        description='releases of older branches that admit themselves and what followed in their branch: "470.57" admits 470.129.06, but not 510.40',
    )
    documented: bool = Field(
        default=True,
        description="false: no document of the vendor's states it; doctor tells, no run is refused",
    )
    command: Command = Field(
        default=(), description="words of the command that prints the version. " + OWN_PROGRAM
    )
    pattern: str | None = Field(
        default=None,
        description="regular expression with one group, the version, for one line of what the command "
        "prints; absent: the first number with a dot in it, wherever it stands",
    )
    source: str = Field(default="", description="where the vendor says so, for who must install it")

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        try:
            groups = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            raise ValueError(
                f"{pattern!r} is no regular expression of one group: {error}"
            ) from error
        if groups != 1:
            raise ValueError(f"{pattern!r} must have one group, the version: Version: (\\S+)")
        return pattern


class VendorManifest(Frozen):
    """vendor.toml (schema ``assay/vendor/1``)."""

    schema_: Literal["assay/vendor/1"] = Field(alias="schema", description="always assay/vendor/1")
    name: Name = Field(description="the folder's name")
    title: str = Field(description="for people")
    default_stack: Name = Field(description="where STACK is not given")
    default_engine: Name = Field(description="where ENGINE is not given")
    default_chip: str = Field(description="where neither CHIP nor the monitor names one")
    engines: dict[Name, EngineSpec] = Field(
        description="what executes the model, by the name that ENGINE= gives"
    )
    chips: dict[str, ChipSpec] = Field(description="hardware models, by the name that CHIP= gives")
    devices: DeviceSpec = Field(default=DeviceSpec(), description="what containers get of the host")
    monitor: MonitorSpec = Field(
        default=MonitorSpec(), description="who tells memory, power and temperature"
    )
    host_variables: tuple[str, ...] = Field(
        default=(),
        description="variables that an SDK installed on the host is found by: stages get the caller's "
        "where STACK_PYTHON names an interpreter of the host",
    )
    drivers: dict[Name, DriverRequirement] = Field(
        default={}, description="host driver that a stack needs, by the stack's name"
    )
    licence: str = Field(
        default="", description="of the SDK and of what the images hold; required by check"
    )

    @model_validator(mode="after")
    def _grants_precisions_no_more_devices(self) -> Self:
        for engine in self.engines.values():
            for precision in engine.precisions.values():
                check_variables(precision.env, self.devices)
        return self


# --- stack.toml --------------------------------------------------------------------------------
class BaseImage(Frozen):
    """The base image: tag for people, digest for machines; no digest is shown as unpinned."""

    image: str = Field(description="reference with its tag")
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="sha256:…, which `make pin` writes; without it results say unpinned",
    )
    source: str = Field(default="", description="where it comes from, in words")


class Installer(Frozen):
    """A vendor's installer that is taken from a local folder, never downloaded."""

    file: str = Field(description="its name in the folder that INSTALLERS= names")
    sha256: Sha256 | None = Field(
        default=None, description="of the release that was tested; without it results say unpinned"
    )
    source: str = Field(description="where a licensee gets it")
    licence: str = Field(default="", description="under which it is given; required by check")


class StackManifest(Frozen):
    """stack.toml (schema ``assay/stack/1``)."""

    schema_: Literal["assay/stack/1"] = Field(alias="schema", description="always assay/stack/1")
    vendor: Name = Field(description="whose stack: the name of vendor.toml")
    name: Name = Field(description="the folder's name")
    python: str = Field(pattern=r"^3\.\d+(\.\d+)?$", description="version in the image")
    base: BaseImage = Field(description="the image that it is built on")
    versions: dict[str, str] = Field(
        description="every part of the stack: name → version; a package as in requirements.lock"
    )
    installers: tuple[Installer, ...] = Field(default=(), description="the vendor's own files")
    process_runner: bool = Field(
        default=False,
        description="the lock file alone is enough: a virtual environment can stand in",
    )
    torch_index: str | None = Field(
        default=None, description="index asked for torch when pip's own settings know none"
    )
