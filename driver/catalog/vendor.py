"""A vendor and its stacks, and how a request's names are looked up in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.catalog.manifests import Invalid, choose
from driver.errors import UsageFault, unknown
from driver.models.stack import StackManifest
from driver.models.vendor import ChipSpec, EngineSpec, PrecisionSpec, VendorManifest

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.found_python import FoundPython


ListedChip = tuple[str, ChipSpec]
"""A chip of vendor.toml and its name there."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack: its manifest, and the folder with its Dockerfile and lock file."""

    manifest: StackManifest
    folder: Path
    found: FoundPython | None = None
    """An interpreter of this host that replaces the pinned stack ``in_place_of``."""
    in_place_of: str = ""

    @property
    def name(self) -> str:
        """Return the stack's name."""
        return self.manifest.name

    @property
    def vendor(self) -> str:
        """Return the name of the vendor whose stack this is."""
        return self.manifest.vendor

    def has_package(self, name: str) -> bool:
        """Return whether a package is among the stack's versions, or those of the interpreter in its place."""
        listed = self.manifest.versions if self.found is None else self.found.packages
        return name in {one.lower().replace("_", "-") for one in listed}


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A vendor, the folder of its hook, its stacks by name, and stacks whose manifest is invalid."""

    manifest: VendorManifest
    folder: Path
    stacks: dict[str, Stack]
    invalid: tuple[Invalid, ...] = ()
    others: tuple[Vendor, ...] = ()
    """The vendor on each other kind of hardware that its stacks run on ([stacks.<name>] of vendor.toml)."""
    other_hardware: str = ""
    """The stack under whose name the tables of this hardware are, "" for those that all other stacks share."""

    @property
    def name(self) -> str:
        """Return the vendor's name."""
        return self.manifest.name

    @property
    def label(self) -> str:
        """Return the vendor's name, on other hardware with the stack that its tables are under: amd/rocm7."""
        return "/".join(filter(None, (self.name, self.other_hardware)))

    def table(self, name: str) -> str:
        """Return the heading of a table of vendor.toml: ``monitor``, or ``stacks.rocm7.monitor``."""
        return f"stacks.{self.other_hardware}.{name}" if self.other_hardware else name

    @property
    def hardware(self) -> tuple[Vendor, ...]:
        """Return the vendor once for each kind of hardware that its stacks run on."""
        return (self, *self.others)

    def for_request(self, stack: str | None, engine: str | None, chip: str | None) -> Vendor:
        """Return the vendor as the hardware of a request sees it: the first kind that has all that is named.

        Where none has it all, STACK decides alone, else ENGINE.
        """
        all_names = {"stack": stack, "engine": engine, "chip": chip}
        for names in (all_names, {"stack": stack}, {"engine": engine}):
            found = next((one for one in self.hardware if one.has(**names)), None)
            if found is not None and any(names.values()):
                return found
        return self

    def require_one_hardware(self, chosen: Vendor, **named: str | None) -> None:
        """Raise UsageFault for an engine or a chip of other hardware than ``chosen``, which the rest names."""
        for what, name in named.items():
            owners = [one for one in self.hardware if name is not None and one.has(**{what: name})]
            if owners and chosen not in owners:
                raise UsageFault(
                    f"{what} {name!r} of {self.name} belongs to the hardware of {owners[0].of_stacks}, and what "
                    f"is named beside it to that of {chosen.of_stacks}",
                    f"leave one of them out; on the hardware of {chosen.of_stacks}, ENGINE is one of: "
                    f"{', '.join(chosen.manifest.engines)}, and CHIP one of: "
                    f"{', '.join(chosen.manifest.chips)}",
                )

    @property
    def stacks_here(self) -> tuple[str, ...]:
        """Return the names of the stacks that run on this hardware."""
        return tuple(sorted(set(self.stacks) - set(self.manifest.heads)))

    @property
    def of_stacks(self) -> str:
        """Return the stacks that run on this hardware, as text: "stack zen"."""
        names = self.stacks_here
        return f"{'stack' if len(names) == 1 else 'stacks'} {', '.join(names)}"

    def has(
        self, *, stack: str | None = None, engine: str | None = None, chip: str | None = None
    ) -> bool:
        """Return whether this hardware has everything that is named."""
        chips = {name.lower() for name in self.manifest.chips}
        return (
            (stack is None or stack in self.stacks_here)
            and (engine is None or engine in self.manifest.engines)
            and (chip is None or chip.lower() in chips)
        )

    def engine(self, name: str | None, stack: str | None = None) -> tuple[str, EngineSpec]:
        """Return the named engine, else the default, or for a named stack without that what the stack is for.

        Raises UsageFault for an unknown engine.
        """
        chosen = name or self._default_engine(stack)
        if chosen not in self.manifest.engines:
            known = {name for one in self.hardware for name in one.manifest.engines}
            raise unknown(f"engine of vendor {self.name}", chosen, known)
        return chosen, self.manifest.engines[chosen]

    def _default_engine(self, stack: str | None) -> str:
        default = self.manifest.default_engine
        having = {
            name: one.stacks.index(stack)
            for name, one in self.manifest.engines.items()
            if stack is not None and stack in one.stacks
        }
        # An engine prefers its first stack: ort_cuda is what cuda13-ort is for, not eager, which it has too.
        return default if default in having or not having else min(having, key=having.__getitem__)

    def stack(
        self,
        name: str | None,
        engine_name: str,
        engine: EngineSpec,
        precision: str | None = None,
        chip: ListedChip | None = None,
    ) -> Stack:
        """Return the named stack, else one that has engine and precision and supports the chip.

        Of several, that is the first of the chip's own, else the vendor's default, else the engine's first.
        Raises UsageFault for an unknown stack, and for one without the engine or the precision, or that
        does not support the chip.
        """
        having = engine.stacks_with(precision)
        preferred = (chip[1].stacks if chip else ()) or (self.manifest.default_stack,)
        fitting = next((one for one in preferred if one in having), having[0])
        chosen = name or fitting
        if chosen not in self.stacks and any(one.found for one in self.stacks.values()):
            raise UsageFault(
                f"STACK={chosen} and STACK_PYTHON name two different stacks of {self.name}",
                "leave STACK out to use the interpreter, or STACK_PYTHON to use the pinned stack",
            )
        found = self.stack_named(chosen)
        if chosen not in engine.stacks:
            raise UsageFault(
                f"stack {chosen!r} of {self.name} has no engine {engine_name!r}",
                f"use STACK={engine.stacks[0]}, or another ENGINE",
            )
        if chosen not in having:
            raise UsageFault(
                f"stack {chosen!r} of {self.name} has no {precision} for engine {engine_name!r}",
                f"use STACK={having[0]}, or PRECISION={engine.default_precision}",
            )
        if chip is not None and not chip[1].runs_in(chosen):
            able = chip[1].runs_in(fitting)
            other = f"use STACK={fitting}" if able else "choose another ENGINE"
            raise UsageFault(
                f"stack {chosen!r} of {self.name} does not support {chip[0]}",
                f"{other}, or another CHIP",
            )
        return found

    def stack_named(self, name: str) -> Stack:
        """Return the stack of that name; UsageFault when it is unknown, or its manifest invalid."""
        found = choose(name, self.stacks, self.invalid, {})
        if found is None:
            raise unknown(f"stack of vendor {self.name}", name, self.stacks)
        return found

    def precision(self, engine: str, name: str | None) -> tuple[str, PrecisionSpec]:
        """Return the named precision, or the engine's default; UsageFault when unknown."""
        spec = self.manifest.engines[engine]
        chosen = name or spec.default_precision
        if chosen not in spec.precisions:
            raise unknown(f"precision of {self.name} {engine}", chosen, spec.precisions)
        return chosen, spec.precisions[chosen]

    def chip(self, name: str | None) -> tuple[str, ChipSpec]:
        """Return the named chip, ignoring case, or the vendor's default; UsageFault when unknown."""
        wanted = name or self.manifest.default_chip
        for listed, spec in self.manifest.chips.items():
            if listed.lower() == wanted.lower():
                return listed, spec
        known = {name for one in self.hardware for name in one.manifest.chips}
        raise unknown(f"chip of vendor {self.name}", wanted, known)
