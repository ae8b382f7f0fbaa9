"""The manifest of a vendor, vendor.toml: engines, precisions, chips, devices, monitor, drivers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from driver.models.base import Clock, Frozen, Name
from driver.models.device_access import DeviceSpec, check_variables


# --- vendor.toml -------------------------------------------------------------------------------
class ExportNeeds(Frozen):
    """An engine's requirements on the exported graph."""

    opset: int = Field(default=18, ge=9, description="ONNX opset that the SDK reads")
    batch: Literal["dynamic", "static"] = Field(
        default="dynamic", description="whether the graph's batch axis is dynamic or fixed"
    )
    simplify: bool = Field(
        default=True, description="true: simplified by onnxsim; false: as torch exports it"
    )


class PrecisionSpec(Frozen):
    """A precision that an engine offers; the arithmetic that really runs decides the peak for MFU."""

    arithmetic: Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"] = Field(
        description="what really runs, and so the peak for MFU: TF32 is not fp32, W32A16 is fp16"
    )
    options: dict[str, Any] = Field(
        default={}, description="for the engine: self.job.precision_options"
    )
    env: dict[str, str] = Field(default={}, description="variables for the vendor's stages")
    quantize: Literal["int8", "fp8"] | None = Field(
        default=None,
        description="`int8`, `fp8` (E4M3): the export also writes the graph with quantizers, `model.int8.onnx` or "
        "`model.fp8.onnx`, calibrated on pictures on which no accuracy is measured",
    )
    stacks: tuple[Name, ...] = Field(
        default=(),
        description="those of the engine's stacks that have it, preferred one first, if not all do",
    )


class EngineSpec(Frozen):
    """One engine of a vendor."""

    title: str = Field(default="", description="display name")
    stacks: tuple[Name, ...] = Field(description="stacks that have it, preferred one first")
    precisions: dict[Name, PrecisionSpec] = Field(description="by the name for PRECISION")
    default_precision: Name = Field(description="default of PRECISION")
    needs: Literal["onnx", "weights"] = Field(
        default="onnx",
        description="inputs of its stages: the exported graph, or also the user's weights",
    )
    harness_engine: Literal["onnxruntime", "torch_cuda", "torch_inductor"] | None = Field(
        default=None,
        description="an engine that the harness brings, in place of a file in engines/: `onnxruntime`, "
        "with the execution provider that `options` name; `torch_cuda`, PyTorch on a device that appears as "
        "`torch.cuda`; `torch_inductor`, the same with `torch.compile` (CONTRIBUTING.md)",
    )
    export: ExportNeeds = Field(
        default=ExportNeeds.model_construct(), description="requirements on the exported graph"
    )
    validate_engine: Name | None = Field(
        default=None, description="engine of the same stack that runs the framework itself"
    )
    clock: Clock = Field(
        default="harness", description="who times the core loop, as in its reports"
    )
    options: dict[str, Any] = Field(
        default={}, description="for the engine: self.job.engine_options"
    )
    generates: bool | Literal["only"] = Field(
        default=False,
        description="true: it has prefill and decode, for language models that generate; `only`: it runs nothing else",
    )

    def stacks_with(self, precision: str | None) -> tuple[str, ...]:
        """Return the stacks that have a precision, preferred one first; of None or an unknown one, all."""
        spec = self.precisions.get(precision or "")
        return self.stacks if spec is None else spec.stacks or self.stacks


def _are_bytes_a_second(bandwidth: float) -> float:
    if bandwidth < LEAST_BANDWIDTH:
        raise ValueError(
            f"{bandwidth:g} is too small for a memory bandwidth: it is in bytes per second, "
            "for example 320e9 (320 GB/s)"
        )
    return bandwidth


LEAST_BANDWIDTH = 1e9


Bandwidth = Annotated[float, AfterValidator(_are_bytes_a_second)]


def _are_operations_a_second(peak: float) -> float:
    if peak < LEAST_PEAK:
        raise ValueError(
            f"{peak:g} is too small for a peak: peaks are in operations per second, "
            "for example 4.0e12 (4 TFLOPS)"
        )
    return peak


LEAST_PEAK = 1e9


Peak = Annotated[float, AfterValidator(_are_operations_a_second)]


class ChipSpec(Frozen):
    """A hardware model, with its dense peaks in operations per second by arithmetic."""

    title: str = Field(description="display name")
    match: tuple[str, ...] = Field(default=(), description="the monitor's names for it, in full")
    stacks: tuple[Name, ...] = Field(
        default=(),
        description="the stacks that support it, preferred one first, if not all do; others are refused",
    )
    peaks: dict[str, Peak] = Field(
        default={},
        description="dense operations per second (two per multiply-accumulate) by arithmetic, for "
        "example { fp16 = 65e12 } for 65 TFLOPS; MFU uses the peak of the arithmetic that ran",
    )
    peaks_source: str = Field(
        default="", description="where the peaks are published; required with peaks"
    )
    lacks: dict[str, str] = Field(
        default={},
        description="arithmetic that the chip lacks → what would run instead; a run with it is refused",
    )
    published_peaks: dict[str, Peak] = Field(
        default={},
        description="by printed precision: the peak that the published MFU was divided by",
    )
    memory_gib: float | None = Field(default=None, description="memory of one chip")
    memory_bandwidth: Bandwidth | None = Field(
        default=None,
        description="peak bandwidth of that memory in bytes per second, for example 320e9; the "
        "report's roofline uses it, and figures that would need more are marked `implausible`",
    )
    memory_bandwidth_source: str = Field(
        default="", description="where it is published; required with memory_bandwidth"
    )
    chips_per_card: int = Field(default=1, description="chips on a card; figures are for one chip")
    options: dict[str, Any] = Field(default={}, description="for the engine: self.job.chip_options")

    def runs_in(self, *stacks: str) -> bool:
        """Whether one of the stacks supports it."""
        return not self.stacks or not set(self.stacks).isdisjoint(stacks)


Command = tuple[str, ...]


OWN_PROGRAM = "a first word with a slash, `./acme-smi`, is a file in the vendor's folder"


def lies_in_folder(command: Command) -> bool:
    """Whether a command's program is a file in the vendor's folder."""
    return bool(command) and "/" in command[0] and not command[0].startswith("/")


class MonitorSpec(Frozen):
    """The command that reports memory, power, temperature, utilisation and clock."""

    parser: Literal[
        "none", "proc", "json", "nvidia-smi", "npu-smi", "xpu_smi", "mx-smi", "amd-smi", "ixsmi"
    ] = Field(
        default="none",
        description="parser of the command's output: `json` reads the document of any program "
        "(docs/manifests.md), `proc` reads this host's kernel files instead",
    )
    command: Command = Field(
        default=(), description="words of the command, by default the parser's own; " + OWN_PROGRAM
    )
    interval_s: float = Field(
        default=1.0, gt=0, description="seconds between two readings while a stage runs"
    )
    timeout_s: float = Field(default=5.0, gt=0, description="seconds until a reading is abandoned")

    @model_validator(mode="after")
    def _names_whom_to_ask(self) -> Self:
        if self.parser == "json" and not self.command:
            raise ValueError('parser = "json" needs a command, for example ["./acme-smi"]')
        return self


class DriverRequirement(Frozen):
    """The oldest host driver that a stack runs on."""

    minimum: str = Field(description="oldest release of the host driver")
    older_branches: tuple[str, ...] = Field(
        default=(),
        description='oldest accepted release of each older branch: "470.57" accepts 470.129.06, but not 510.40',
    )
    documented: bool = Field(
        default=True,
        description="false: the vendor does not document it; doctor reports it, but no run is refused",
    )
    command: Command = Field(
        default=(), description="words of the command that prints the version; " + OWN_PROGRAM
    )
    pattern: str | None = Field(
        default=None,
        description="regular expression for a line of the command's output, with one group, the "
        "version; by default the first number with a dot",
    )
    source: str = Field(default="", description="where the vendor documents it")

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        try:
            groups = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a valid regular expression: {error}") from error
        if groups != 1:
            raise ValueError(
                f"{pattern!r} must have exactly one group, the version, as in Version: (\\S+)"
            )
        return pattern


class ProcessorSpec(Frozen):
    """What the host's processor must be, for a vendor that runs on it."""

    vendor_id: str = Field(
        default="",
        description="`vendor_id` in /proc/cpuinfo, for example `AuthenticAMD`; runs on another processor "
        "are refused",
    )
    flags: dict[str, tuple[str, ...]] = Field(
        default={},
        description='arithmetic → flags of /proc/cpuinfo, for example { bf16 = ["avx512_bf16"] }; without '
        "them a run with it is refused",
    )


class SchedulerSpec(Frozen):
    """What a sweep asks a cluster's scheduler for, for each of its tasks."""

    gres: str = Field(
        default="",
        description="generic resource, for example `gpu:{count}` or `npu:{count}`; {count} is the number "
        "of selected devices, {chip} the chip's name in lower case with _ for what is neither a letter "
        "nor a digit. A lab with other names for it sets [slurm.gres] in assay.local.toml",
    )
    exclusive: bool = Field(
        default=False, description="true: a task gets a whole node; always so on a host's processor"
    )


class OwnHardware(Frozen):
    """What a stack has of its own if it runs on other hardware than the vendor's other stacks.

    Each table replaces the vendor's table of that name as a whole.
    """

    also: tuple[Name, ...] = Field(
        default=(),
        description="further stacks on the same hardware, which have these tables too; each engine names those "
        "that have it",
    )
    title: str = Field(description="display name, as the vendor's")
    default_engine: Name = Field(description="default of ENGINE on this hardware")
    default_chip: str = Field(description="chip if neither CHIP nor the monitor names one")
    engines: dict[Name, EngineSpec] = Field(description="the engines on this hardware")
    chips: dict[str, ChipSpec] = Field(description="the hardware models that it runs on")
    devices: DeviceSpec = Field(
        default=DeviceSpec.model_construct(), description="host access of its containers"
    )
    processor: ProcessorSpec = Field(
        default=ProcessorSpec.model_construct(), description="what the host's processor must be"
    )
    monitor: MonitorSpec = Field(
        default=MonitorSpec.model_construct(), description="reports memory, power and temperature"
    )
    scheduler: SchedulerSpec = Field(
        default=SchedulerSpec.model_construct(),
        description="what a cluster's scheduler is asked for",
    )


class VendorManifest(Frozen):
    """vendor.toml (schema ``assay/vendor/1``)."""

    schema_: Literal["assay/vendor/1"] = Field(alias="schema", description="always assay/vendor/1")
    name: Name = Field(description="the folder's name")
    title: str = Field(description="display name")
    default_stack: Name = Field(description="default of STACK")
    default_engine: Name = Field(description="default of ENGINE")
    default_chip: str = Field(description="chip if neither CHIP nor the monitor names one")
    engines: dict[Name, EngineSpec] = Field(
        description="what executes the model, by the name for ENGINE"
    )
    chips: dict[str, ChipSpec] = Field(description="hardware models, by the name for CHIP")
    devices: DeviceSpec = Field(
        default=DeviceSpec.model_construct(), description="host access of containers"
    )
    processor: ProcessorSpec = Field(
        default=ProcessorSpec.model_construct(), description="what the host's processor must be"
    )
    monitor: MonitorSpec = Field(
        default=MonitorSpec.model_construct(), description="reports memory, power and temperature"
    )
    host_variables: tuple[str, ...] = Field(
        default=(),
        description="variables by which a host-installed SDK is found; with STACK_PYTHON, stages "
        "inherit them from the caller",
    )
    drivers: dict[Name, DriverRequirement] = Field(
        default={}, description="host driver required by a stack, by the stack's name"
    )
    scheduler: SchedulerSpec = Field(
        default=SchedulerSpec.model_construct(),
        description="what a cluster's scheduler is asked for",
    )
    licence: str = Field(
        default="", description="licences of the SDK and of the images' contents; required by check"
    )
    stacks: dict[Name, OwnHardware] = Field(
        default={},
        description="by the stack's name: the tables of a stack that runs on other hardware than the others, "
        "such as a vendor's GPUs beside its processors",
    )

    @property
    def heads(self) -> dict[str, str]:
        """Return, for each stack on other hardware, the one under whose name its tables are."""
        return {name: head for head, own in self.stacks.items() for name in (head, *own.also)}

    def of_stack(self, name: str) -> Self:
        """Return the manifest as a stack on other hardware sees it; itself for another stack."""
        head = self.heads.get(name)
        if head is None:
            return self
        own = self.stacks[head]
        tables = {field: getattr(own, field) for field in type(own).model_fields if field != "also"}
        return self.model_copy(update={**tables, "default_stack": head, "stacks": {}})

    @property
    def runs_on_host(self) -> bool:
        """Whether the device is the host's processor: its monitor is the kernel's own files."""
        return self.monitor.parser == "proc"

    @model_validator(mode="after")
    def _grants_precisions_no_more_devices(self) -> Self:
        for part in (self, *map(self.of_stack, self.stacks)):
            for engine in part.engines.values():
                for precision in engine.precisions.values():
                    check_variables(precision.env, part.devices)
        return self

    @model_validator(mode="after")
    def _gives_own_engines_no_other_stacks(self) -> Self:
        for head, own in self.stacks.items():
            here = (head, *own.also)
            for name, engine in own.engines.items():
                if not engine.stacks or not set(engine.stacks) <= set(here):
                    raise ValueError(
                        f"stacks.{head}.engines.{name}.stacks must be of {', '.join(here)}: these tables are "
                        "of that hardware alone"
                    )
        return self

    @model_validator(mode="after")
    def _runs_a_stack_on_one_hardware(self) -> Self:
        named = [self.default_stack]
        for head, own in self.stacks.items():
            for name in (head, *own.also):
                if name in named:
                    raise ValueError(
                        f"stacks.{head}: {name!r} runs on two kinds of hardware; name it once, as "
                        "default_stack, as a table of stacks or in one table's also"
                    )
                named.append(name)
        return self
