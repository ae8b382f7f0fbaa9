"""The manifests that a case, a vendor and a stack write: case.toml, vendor.toml, stack.toml."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from driver.models.base import Clock, DType, Frozen, Name, Sha256, StageName, Tier
from driver.models.device_access import DeviceSpec, check_variables


# --- case.toml ---------------------------------------------------------------------------------
class TensorSpec(Frozen):
    """One input or output of the exported graph; ``shape`` leaves the batch axis out.

    ``batched = false`` is for scalars such as a diffusion model's timestep (shape ``[]``).
    ``items_per_batch`` is how many rows of the tensor one item takes (2 with classifier-free guidance).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType = "float32"
    batched: bool = True
    rows_per_item: int = Field(default=1, ge=1)


class ModelSpec(Frozen):
    """The architecture and its size."""

    architecture: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int = Field(gt=0)
    macs: int = Field(
        gt=0, description="multiply-accumulates of one core item, counted from the model"
    )
    macs_scope: str = Field(description="what the count includes")
    macs_published: int | None = Field(
        default=None,
        description="the constant that the seeds' MFU convention uses, as printed there",
    )
    macs_published_source: str = ""


class WeightsFile(Frozen):
    """One file that must be there, with what it must be where that is known."""

    name: str
    bytes: int | None = None
    sha256: Sha256 | None = None
    md5: str | None = None
    optional: bool = False


class WeightsFormat(Frozen):
    """One form in which the weights may come: a Hugging Face folder, a timm .pth, an augreg .npz."""

    kind: Literal["huggingface", "pth", "npz"]
    hub_id: str | None = None
    files: tuple[WeightsFile, ...] = ()
    source: str = Field(description="where to get it, in words")


class WeightsSpec(Frozen):
    """Where weights come from; ``bundled`` is a folder of the case itself."""

    formats: tuple[WeightsFormat, ...]
    bundled: str | None = None
    scoring: bool = Field(
        default=False, description="scoring gets them too: among them is a model that judges"
    )


class SyntheticData(Frozen):
    """The pictures that ``DATA=synthetic`` makes."""

    count: int = Field(default=256, ge=1)
    width: int = 500
    height: int = 375
    seed: int = 0


class ArchiveSpec(Frozen):
    """The archive in which a dataset is handed out, and the md5 that its maker prints."""

    file: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")


class DataSpec(Frozen):
    """The dataset: its layout, how many items it has, where a bundled one lies."""

    dataset: str
    layout: Literal["imagefolder", "picture", "prompts"]
    count: int = Field(ge=1)
    classes: int | None = None
    bundled: str | None = None
    suffixes: tuple[str, ...] = (".jpeg", ".jpg", ".png")
    archive: ArchiveSpec | None = None
    class_names: str | None = Field(
        default=None, description="regular expression that every class folder's name must match"
    )
    synthetic: SyntheticData = SyntheticData()
    source: str = ""


class MetricSpec(Frozen):
    """The accuracy figure of the case."""

    name: str
    unit: str = ""
    also: tuple[str, ...] = ()
    higher_is_better: bool = True


class GateSpec(Frozen):
    """How far accuracy may lie below validation (relative), and why that far."""

    relative_drop: float = Field(ge=0, le=1)
    fidelity_cosine_min: float | None = None
    reason: str


class CaseRun(Frozen):
    """Defaults of a run of this case."""

    batch_size: int = Field(ge=1)
    tier: Tier = Tier.STANDARD
    golden_count: int = Field(default=64, ge=1, description="items with fp32 golden outputs")
    memory_gib: dict[StageName, float] = {}
    timeout_s: dict[StageName, float] = {}


class CaseManifest(Frozen):
    """case.toml (schema ``assay/case/1``)."""

    schema_: Literal["assay/case/1"] = Field(alias="schema")
    name: Name
    title: str
    aliases: tuple[Name, ...] = ()
    task: Literal["image-classification", "mask-generation", "text-to-image"]
    item: Literal["image", "prompt"] = "image"
    core_item: Literal["image", "unet step"] = "image"
    seed_document: str | None = Field(default=None, description="number of the seed document")
    model: ModelSpec
    weights: WeightsSpec
    data: DataSpec
    metric: MetricSpec
    gate: GateSpec
    run: CaseRun
    preprocess: dict[str, dict[str, Any]] = Field(
        default={}, description="named sets of constants, each with its source; `default` is used"
    )
    options: dict[str, Any] = Field(default={}, description="what model.py and task.py read")


# --- vendor.toml -------------------------------------------------------------------------------
class ExportNeeds(Frozen):
    """What an engine asks of the exported graph."""

    opset: int = Field(default=18, ge=9)
    batch: Literal["dynamic", "static"] = "dynamic"
    simplify: bool = True


class PrecisionSpec(Frozen):
    """A precision an engine offers: the arithmetic that really runs decides which peak counts."""

    arithmetic: Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]
    options: dict[str, Any] = {}
    env: dict[str, str] = {}


class EngineSpec(Frozen):
    """One engine of a vendor."""

    title: str = ""
    stacks: tuple[Name, ...]
    precisions: dict[Name, PrecisionSpec]
    default_precision: Name
    needs: Literal["onnx", "weights"] = "onnx"
    export: ExportNeeds = ExportNeeds()
    validate_engine: Name | None = Field(
        default=None, description="engine of the same stack that is the framework's own inference"
    )
    clock: Clock = Field(
        default="harness", description="whose loop gives the core figure, as its reports say too"
    )
    options: dict[str, Any] = {}


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

    title: str
    match: tuple[str, ...] = Field(
        default=(), description="names, whole, under which the monitor knows it"
    )
    peaks: dict[str, Peak] = Field(
        default={},
        description="dense operations a second (two a multiply-accumulate) by arithmetic, for example "
        "{ fp16 = 65e12 } for 65 TFLOPS; MFU is held against that of the arithmetic which ran",
    )
    peaks_source: str = ""
    lacks: dict[str, str] = Field(
        default={},
        description="arithmetic that the chip has not, and what would run instead: refused by name",
    )
    published_peaks: dict[str, Peak] = Field(
        default={}, description="peak by printed precision that the seeds divided by"
    )
    memory_gib: float | None = None
    chips_per_card: int = 1
    options: dict[str, Any] = {}


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
    """The oldest driver that a stack runs on.

    ``older_branches``: releases of older branches that the vendor names besides, each of which admits
    itself and what followed in its branch ("470.57" admits 470.129.06, but not 510.40).
    """

    minimum: str
    older_branches: tuple[str, ...] = ()
    documented: bool = Field(
        default=True,
        description="false: no document of the vendor's states it; doctor tells, no run is refused",
    )
    command: Command = Field(
        default=(), description="words of the command that prints the version. " + OWN_PROGRAM
    )
    source: str = ""


class VendorManifest(Frozen):
    """vendor.toml (schema ``assay/vendor/1``)."""

    schema_: Literal["assay/vendor/1"] = Field(alias="schema")
    name: Name
    title: str
    default_stack: Name
    default_engine: Name
    default_chip: str
    engines: dict[Name, EngineSpec]
    chips: dict[str, ChipSpec]
    devices: DeviceSpec = DeviceSpec()
    monitor: MonitorSpec = MonitorSpec()
    drivers: dict[Name, DriverRequirement] = {}
    licence: str = ""
    fallback_base: str = ""

    @model_validator(mode="after")
    def _grants_precisions_no_more_devices(self) -> Self:
        for engine in self.engines.values():
            for precision in engine.precisions.values():
                check_variables(precision.env, self.devices)
        return self


# --- stack.toml --------------------------------------------------------------------------------
class BaseImage(Frozen):
    """The base image: tag for people, digest for machines; no digest is shown as unpinned."""

    image: str
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    source: str = ""


class Installer(Frozen):
    """A vendor's installer that is taken from a local folder, never downloaded."""

    file: str
    sha256: Sha256 | None = None
    source: str = Field(description="where a licensee gets it")
    licence: str = ""


class StackManifest(Frozen):
    """stack.toml (schema ``assay/stack/1``)."""

    schema_: Literal["assay/stack/1"] = Field(alias="schema")
    vendor: Name
    name: Name
    python: str = Field(pattern=r"^3\.\d+(\.\d+)?$")
    base: BaseImage
    versions: dict[str, str]
    installers: tuple[Installer, ...] = ()
    process_runner: bool = Field(
        default=False,
        description="the lock file alone is enough: a virtual environment can stand in",
    )
    torch_index: str | None = Field(
        default=None, description="index asked for torch when pip's own settings know none"
    )
