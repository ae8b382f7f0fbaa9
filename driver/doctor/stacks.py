"""Checks of what a vendor's stages run in: container engine, images and virtual environments. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.doctor.finding import Finding, failed, not_checked, note, ok
from driver.stacks.room import VENDOR_IMAGE_GIB
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.catalog.found_python import FoundPython
    from driver.doctor.facts import ApptainerFact, ContainerEngine, Facts, StackFact


GIB = 1 << 30


def check_stacks(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the engine and about every stack."""
    if facts.reference_problem is not None:
        problem = facts.reference_problem
        yield failed("stack of reference", problem.message, problem.remedy)
    yield _engine(facts)
    if facts.engine.problem is None and facts.engine.root:
        yield _engine_disk(facts)
    yield from _apptainer(facts.apptainer)
    # The container of a stand-in gets no device.
    imitated = any(stack.wanted and stack.stand_in for stack in facts.stacks)
    has_gpus = facts.vendor.manifest.devices.gpus != "none"
    if has_gpus and facts.engine.problem is None and not imitated:
        yield _gpu_runtime(facts)
    for stack in facts.stacks:
        if stack.stack.found is not None:
            yield _found(stack.stack.found, stack)
            continue
        yield _image(stack, facts)
        if stack.stack.manifest.process_runner:
            yield _environment(stack, facts)


def _found(found: FoundPython, stack: StackFact) -> Finding:
    python = f"this host's Python {found.version} with {counted(len(found.packages), 'package')}"
    return note(
        f"stack of {stack.stack.vendor}",
        f"{python}, in place of {stack.stack.in_place_of}; it is not pinned, and results are marked",
        "unset STACK_PYTHON and REFERENCE_PYTHON to use the pinned stacks",
    )


def needs_containers(facts: Facts) -> bool:
    """Return whether a wanted stack runs only in its image, or on another host's engine."""
    return facts.host is not None or any(
        s.wanted and not s.stack.manifest.process_runner for s in facts.stacks
    )


def _engine(facts: Facts) -> Finding:
    problem = facts.engine.problem
    if problem is None and facts.engine.unlimited:
        return _unlimited(facts.engine)
    if problem is None:
        return ok("container engine", facts.engine.version)
    if needs_containers(facts):
        return failed("container engine", problem.message, problem.remedy)
    return note(
        "container engine",
        f"{problem.message}; RUNNER=process works without one, but does not isolate",
        problem.remedy,
    )


def _unlimited(engine: ContainerEngine) -> Finding:
    return note(
        "container engine",
        f"{engine.version}; it has no cgroup to limit {' and '.join(engine.unlimited)} with: the driver "
        "checks memory every half second instead",
        "have the system delegate cgroups v2 controllers to this user (docs/engines.md), or use Docker "
        "as root; every result says who enforced its limits",
    )


def _apptainer(fact: ApptainerFact) -> Iterator[Finding]:
    """Yield what RUNNER=apptainer needs; nothing where it is not installed, as on most machines."""
    if fact.problem is not None:
        yield note("Apptainer", fact.problem.message, fact.problem.remedy)
    elif fact.lacking:
        yield note(
            "Apptainer",
            f"{fact.title}, for RUNNER=apptainer; no file here has the image of {', '.join(fact.lacking)}",
            f"put what `docker save` wrote of it where images are looked for ({fact.images})",
        )
    elif fact.title:
        yield ok("Apptainer", f"{fact.title}, for RUNNER=apptainer; the images are in files here")


def _engine_disk(facts: Facts) -> Finding:
    engine = facts.engine
    what = "engine's disk"
    if engine.free_bytes is None:
        return not_checked(
            what, f"{engine.root} of the engine is not visible from here", "docker system df"
        )
    free_gib = engine.free_bytes / GIB
    found = f"{free_gib:.1f} GiB free at {engine.root} ({engine.storage_driver})"
    lacking = any(stack.wanted and stack.image is None for stack in facts.stacks)
    if lacking and free_gib < VENDOR_IMAGE_GIB:
        wrong = failed if needs_containers(facts) else note
        return wrong(
            what,
            f"{found}; images that are not built yet need {VENDOR_IMAGE_GIB:g} GiB",
            "free some space (docker system df, docker image prune), or give the engine a larger "
            "disk: data-root in /etc/docker/daemon.json",
        )
    if engine.storage_driver == "vfs":
        return note(
            what,
            f"{found}; vfs copies every layer in full, so images take several times their size",
            'set "storage-driver": "overlay2" in /etc/docker/daemon.json if the file system supports it',
        )
    return ok(what, found)


def _gpu_runtime(facts: Facts) -> Finding:
    gpus = facts.vendor.manifest.devices.gpus
    engine = facts.engine
    wrong = failed if needs_containers(facts) else note
    if gpus == "nvidia":
        if "nvidia" in engine.runtimes or "nvidia.com/gpu" in engine.cdi_kinds:
            return ok("GPU runtime", "the engine can give NVIDIA GPUs to containers")
        return wrong(
            "GPU runtime",
            "the engine cannot give GPUs to containers",
            "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure && "
            "sudo systemctl restart docker",
        )
    wanted = sorted(_cdi_kinds(facts))
    missing = [kind for kind in wanted if kind not in engine.cdi_kinds]
    if not missing:
        return ok("CDI", ", ".join(wanted))
    return wrong(
        "CDI",
        f"the engine has no CDI device of {', '.join(missing)} "
        f"(it has: {', '.join(sorted(engine.cdi_kinds)) or 'none'})",
        "generate the vendor's CDI specification in /etc/cdi, and enable CDI in the engine",
    )


def _cdi_kinds(facts: Facts) -> set[str]:
    names = [node for node in facts.vendor.manifest.devices.nodes if not node.startswith("/")]
    return {name.partition("=")[0] for name in names} or {"nvidia.com/gpu"}


def _image(stack: StackFact, facts: Facts) -> Finding:
    what = f"image of {stack.stack.vendor}/{stack.stack.name}"
    build = f"make images VENDOR={stack.stack.vendor} STACK={stack.stack.name}"
    if stack.image is not None:
        if stack.stand_in:
            return ok(what, f"{stack.image} (stand-in: simulated)")
        named = f" on {stack.base_named}, in place of the stack's own base"
        return ok(what, stack.image + (named if stack.base_named else ""))
    needed = stack.wanted and not stack.stack.manifest.process_runner
    if facts.engine.problem is not None:
        return note(what, "not known: no container engine answers", facts.engine.problem.remedy)
    if stack.installers is not None:
        wrong = failed if needed else note
        return wrong(what, stack.installers.message, stack.installers.remedy)
    base = stack.stack.manifest.base.image
    if not stack.base_here:
        return note(
            what,
            f"not built yet; its base image {base} is not on this host and would be fetched",
            f"{build} (add BASE=<image> if no registry can be reached)",
        )
    return note(what, f"not built yet; its base image {base} is on this host", build)


def _environment(stack: StackFact, facts: Facts) -> Finding:
    manifest = stack.stack.manifest
    what = f"environment of {manifest.vendor}/{manifest.name}"
    wrong = failed if stack.wanted and facts.engine.problem is not None else note
    if stack.environment:
        return ok(what, "ready")
    if stack.lock is not None:
        return wrong(what, stack.lock.message, stack.lock.remedy)
    if not stack.python:
        return wrong(
            what,
            f"needs Python {manifest.python}, which is not on this host",
            f"install Python {manifest.python} with venv, or use RUNNER=docker",
        )
    if stack.wheels_missing:
        return note(
            what,
            f"not created yet; {stack.wheels_missing} of {stack.wheels} wheels would be fetched",
            f"make wheelhouse VENDOR={manifest.vendor}",
        )
    return ok(what, f"not created yet; all {stack.wheels} wheels are on this host")
