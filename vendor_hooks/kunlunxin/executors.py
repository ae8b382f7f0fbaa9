"""XTCL's two ways to run a program: TVM's virtual machine, and the graph executor.

Both have the same members: ``compile``, ``save`` and ``read`` (a folder), ``open`` (on a device, with
name → (shape, dtype) of the inputs), ``feed``, ``run``, ``output``.
"""

import numpy as np

LIBRARY = "library.so"


class VirtualMachine:
    """relay.backend.vm: byte code, and a library with the kernels."""

    CODE = "code.bin"

    def __init__(self):
        self._program = None
        self._machine = None
        self._buffers = {}

    @staticmethod
    def target(number):
        """The host, with a KUNLUN<number> as accelerator."""
        return "llvm -acc=xpu{}".format(number)

    def compile(self, module, params, number):
        """Compile inside the caller's PassContext."""
        from tvm.relay.backend import vm

        target = self.target(number)
        self._program = vm.compile(module, target=target, target_host=target, params=params)

    def save(self, folder):
        """Write code and library; writing a library calls the image's C++ compiler."""
        code, library = self._program.save()
        (folder / self.CODE).write_bytes(code)
        library.export_library(str(folder / LIBRARY))

    def read(self, folder):
        """Read what ``save`` wrote; a damaged file is TVM's RuntimeError."""
        from tvm.runtime import load_module
        from tvm.runtime.vm import Executable

        library = load_module(str(folder / LIBRARY))
        self._program = Executable.load_exec(bytearray((folder / self.CODE).read_bytes()), library)

    def open(self, device, inputs):
        """Put the program on a device, with a buffer beside it for each input."""
        import tvm
        from tvm.runtime.vm import VirtualMachine as Machine

        self._machine = Machine(self._program, device)
        self._buffers = {
            name: tvm.nd.empty(shape, dtype, device) for name, (shape, dtype) in inputs.items()
        }

    def feed(self, name, array):
        """Copy one input to the device; the machine uses a device array without copying it.

        Of a host array it would make a second one, and a third on the device, on every call.
        """
        self._machine.set_one_input("main", name, self._buffers[name].copyfrom(array))

    def run(self):
        """Run one batch."""
        self._machine.run()

    def output(self, index):
        """One output, on the device."""
        return self._machine.get_output(index)


class GraphExecutor:
    """relay.build: a graph (JSON), a library, and the weights beside them."""

    GRAPH = "graph.json"
    PARAMS = "params.npz"

    def __init__(self):
        self._graph = None
        self._library = None
        self._params = {}
        self._module = None

    @staticmethod
    def target(number):
        """Everything on the chip, with the vendor's kernels."""
        return "xpu -libs=xdnn -split-device-funcs -device-type=xpu{}".format(number)

    def compile(self, module, params, number):
        """Compile inside the caller's PassContext."""
        from tvm import relay

        built = relay.build(module, target=self.target(number), params=params)
        self._graph, self._library, self._params = built

    def save(self, folder):
        """Write graph, library and weights; writing a library calls the image's C++ compiler."""
        (folder / self.GRAPH).write_text(self._graph, encoding="utf-8")
        np.savez(
            str(folder / self.PARAMS),
            **{name: value.numpy() for name, value in self._params.items()},
        )
        self._library.export_library(str(folder / LIBRARY))

    def read(self, folder):
        """Read what ``save`` wrote; a damaged file is a RuntimeError, an OSError or a ValueError."""
        from tvm.runtime import load_module

        self._library = load_module(str(folder / LIBRARY))
        self._graph = (folder / self.GRAPH).read_text(encoding="utf-8")
        with np.load(str(folder / self.PARAMS)) as params:
            self._params = dict(params)

    def open(self, device, _inputs):
        """Put graph and weights on a device; the executor has its own buffers for the inputs."""
        from tvm.contrib import graph_executor

        self._module = graph_executor.create(self._graph, self._library, device)
        self._module.set_input(**self._params)
        self._params = {}  # they are on the device now

    def feed(self, name, array):
        """Copy one input into the executor's own buffer on the device."""
        self._module.set_input(name, array)

    def run(self):
        """Run one batch."""
        self._module.run()

    def output(self, index):
        """One output, on the device."""
        return self._module.get_output(index)


#: Values of engine_options.executor.
EXECUTORS = {"vm": VirtualMachine, "graph": GraphExecutor}
