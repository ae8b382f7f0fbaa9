"""IREE, the open compiler of the LLVM family: the graph becomes machine code of this very processor, fp32."""

import hashlib
import pathlib
import time

from harness import clock
from harness.engine import Engine
from harness.engines import vendor_tool
from harness.engines.engine_file import EngineFile, graph_digest
from harness.engines.host_memory import host_memory

VENDOR = "cpu"
DRIVER = "local-task"
#: Where weights outside the graph are named; iree-import-onnx's own default.
SCOPE = "model"
CPUINFO = pathlib.Path("/proc/cpuinfo")
#: What names a processor's instructions on x86 and on Arm.
INSTRUCTIONS = ("model name", "flags", "CPU part", "Features")
TASKS = pathlib.Path("/proc/self/task")
#: How IREE names its threads (iree/task/executor.c).
WORKER = "iree-worker"
OPTIONS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


class Iree(Engine):
    """One module for batches of job.batch_size; synchronous, with a pool of job.threads workers.

    Inputs are copied into IREE's buffers and outputs are mapped from fresh ones, both on the clock.
    """

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []
        self._main = None
        self._kept = ()

    def compile(self):
        """Import the graph and compile it into job.cache_dir, for the processor that it runs on."""
        file = self._engine_file()
        self.cached = file.usable
        return file.settings if file.usable else self._compile(file)

    def load(self):
        """Map the module, or compile it again if it is for another processor or version."""
        file = self._engine_file()
        settings = self._opened(file) if file.usable else None
        if settings is None:
            settings = self._compile(file)
            self._open(file.path)
        # Threads as the system counts them: IREE has no call that tells.
        return dict(settings, driver=DRIVER, threads=workers(self.job.threads))

    def _engine_file(self):
        made_from = {
            "graph": graph_digest(self.job),
            "iree": self.versions()["iree"],
            "processor": processor(),
            "batch_size": self.job.batch_size,
            "options": " ".join(self._options()),
        }
        return EngineFile(self.job.cache_dir / "iree.vmfb", made_from)

    def _options(self):
        level = self.job.engine_options.get("opt_level", "O3")
        return (*OPTIONS, "--iree-opt-level={}".format(level))

    def _compile(self, file):
        stale = file.stale()
        if stale:
            self._warnings.append(stale)
        file.forget()
        imported = file.path.with_suffix(".mlir")
        weights = self._weights(file.path)
        _run("iree-import-onnx", self.job.onnx_path, "-o", imported, *self._outside(weights))
        _run("iree-compile", imported, "-o", file.path, *self._options())
        # As large as the weights, and nobody reads it again.
        imported.unlink()
        settings = {
            "precision": self.job.precision,
            # Without --iree-opt-demote-f32-to-*, the compiler keeps the graph's types.
            "arithmetic": self.job.precision,
            "options": " ".join(self._options()),
        }
        file.record(settings)
        return settings

    def _weights(self, module):
        """The archive of weights beside the module, for a graph with external data; else None."""
        return module.with_suffix(".irpa") if (self.job.model_dir / "model.data").exists() else None

    @staticmethod
    def _outside(weights):
        # The importer reads weights of more than 2 GB only where they stay outside the module.
        return () if weights is None else ("--externalize-params", "--save-params-to", weights)

    def _opened(self, file):
        """The settings of the module in the cache, once it is open; None if IREE refuses it."""
        try:
            self._open(file.path)
        except (OSError, RuntimeError, ValueError) as error:
            self._warnings.append(file.unreadable("IREE: {}".format(error)))
            return None
        return file.settings

    def _open(self, path):
        import iree.runtime as rt

        rt.flags.parse_flags("--task_topology_group_count={}".format(self.job.threads))
        context = rt.SystemContext(config=rt.Config(device=rt.get_device(DRIVER)))
        weights = self._weights(path)
        if weights is not None:
            index = rt.ParameterIndex()
            index.load(str(weights))
            provider = index.create_provider(scope=SCOPE)
            context.add_vm_module(rt.create_io_parameters_module(context.instance, provider))
        module = rt.VmModule.mmap(context.instance, str(path))
        context.add_vm_module(module)
        self._main = context.modules[module.name][entry(module.function_names)]
        self._kept = (context, module)

    def infer(self, inputs):
        """Run one batch, and map its outputs."""
        found = self._main(*(inputs[spec.name] for spec in self.job.inputs))
        several = found if isinstance(found, (tuple, list)) else (found,)
        return {spec.name: one.to_host() for spec, one in zip(self.job.outputs, several)}

    def memory(self):
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self):
        """The version of the runtime, which is the compiler's: the stack pins both."""
        from iree.runtime import version

        return {"iree": version.VERSION}

    def warnings(self):
        """Recompilations."""
        return self._warnings

    def close(self):
        """Release the module and its buffers."""
        self._main = None
        self._kept = ()


def _run(*argv):
    ran = vendor_tool.run(argv, VENDOR)
    if ran.returncode:
        raise vendor_tool.failure("compile", ran)


def entry(names):
    """The function that runs a batch: the one that is neither asynchronous nor the module's own."""
    (main,) = (name for name in names if not name.startswith("__") and not name.endswith("$async"))
    return main


def processor(cpuinfo=CPUINFO):
    """What the module is compiled for: the processor's name, and a digest of its instructions."""
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    facts = dict((part.strip() for part in line.split(":", 1)) for line in lines if ":" in line)
    known = [facts[key] for key in INSTRUCTIONS if key in facts]
    digest = hashlib.sha256("\n".join(known).encode()).hexdigest()
    return "{} {}".format(facts.get("model name", "processor"), digest[:12])


def workers(expected, patience_ns=2 * 10**9):
    """The number of IREE's threads in this process; a thread has its name a moment after it was started."""
    deadline = clock.now_ns() + patience_ns
    while True:
        found = sum(_name(path).startswith(WORKER) for path in TASKS.iterdir())
        if found >= expected or clock.now_ns() > deadline:
            return found
        time.sleep(0.01)


def _name(task):
    try:
        return (task / "comm").read_text(encoding="utf-8")
    except OSError:  # it has ended since it was listed
        return ""


ENGINE = Iree
