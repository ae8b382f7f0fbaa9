"""One call of a compiled MIGraphX program on torch's current stream: device tensors in, device tensors out."""

from harness.errors import StageFailure

#: The type of the stream's handle, by which MIGraphX knows it (its test of run_async, and Torch-MIGraphX).
STREAM_TYPE = "ihipStream_t"
#: How a program that was compiled without copies names the buffers for its outputs (replace_allocate.cpp).
OUTPUT = "main:#output_"
#: MIGraphX's types → those of torch and of the exported graph.
TYPES = {
    "bool_type": "bool",
    "half_type": "float16",
    "bf16_type": "bfloat16",
    "float_type": "float32",
    "double_type": "float64",
    "uint8_type": "uint8",
    "int8_type": "int8",
    "int32_type": "int32",
    "int64_type": "int64",
}


class DeviceCall:
    """``program`` is compiled with offload_copy=False: its caller owns the memory of inputs and outputs."""

    def __init__(self, torch, program, job):
        self._torch = torch
        self._program = program
        shapes = program.get_parameter_shapes()
        self._inputs = [(spec.name, self._input(shapes, spec, job)) for spec in job.inputs]
        self._outputs = [
            ("{}{}".format(OUTPUT, index), shapes.get("{}{}".format(OUTPUT, index)))
            for index in range(len(job.outputs))
        ]
        self._names = [spec.name for spec in job.outputs]
        for name, (parameter, shape) in zip(self._names, self._outputs):
            if shape is None or not shape.standard():
                raise _unlike(
                    "no buffer {} in C order for {}".format(parameter, name), shapes, job.case
                )

    def _input(self, shapes, spec, job):
        shape = shapes.get(spec.name)
        if shape is None:
            raise _unlike("no input {}".format(spec.name), shapes, job.case)
        rows = [job.batch_size * spec.rows_per_item] if spec.batched else []
        wanted = (rows + list(spec.shape), spec.dtype.replace("bfloat16", "float32"))
        found = (list(shape.lens()), TYPES.get(shape.type_string()))
        if found != wanted:
            raise _unlike(
                "{} {} as {}, not {} {}".format(
                    spec.name, found[1], found[0], wanted[1], wanted[0]
                ),
                shapes,
                job.case,
            )
        return shape

    def __call__(self, *tensors):
        """Enqueue one batch; the outputs are complete when the current stream has got there."""
        return self._enqueue(tensors)[0]

    def verify(self):
        """Run a batch of zeros: each output must be in the buffer that was given for it.

        Raises StageFailure (contract) otherwise, since another buffer may be overwritten by the next batch.
        """
        torch = self._torch
        zeros = [self._empty(shape).zero_() for _, shape in self._inputs]
        given, returned = self._enqueue(zeros)
        torch.cuda.synchronize()
        for name, tensor, argument in zip(self._names, given, returned):
            if argument.data_ptr() != tensor.data_ptr():
                raise StageFailure(
                    "contract",
                    "MIGraphX left {} elsewhere than in the buffer that it was given".format(name),
                    "another release names its buffers differently: correct vendor_hooks/amd/mgx_call.py",
                )

    def _enqueue(self, tensors):
        """(output tensors, MIGraphX's arguments for them), both on the device and not yet computed."""
        import migraphx

        given = [self._empty(shape) for _, shape in self._outputs]
        named = list(zip(self._inputs, tensors)) + list(zip(self._outputs, given))
        parameters = {
            name: migraphx.argument_from_pointer(shape, tensor.data_ptr())
            for (name, shape), tensor in named
        }
        stream = self._torch.cuda.current_stream().cuda_stream
        return given, self._program.run_async(parameters, stream, STREAM_TYPE)

    def _empty(self, shape):
        torch = self._torch
        dtype = getattr(torch, TYPES[shape.type_string()])
        return torch.empty(tuple(shape.lens()), dtype=dtype, device="cuda")


def _unlike(what, shapes, case):
    return StageFailure(
        "contract",
        "the compiled program has {}; its parameters are {}".format(
            what, ", ".join(sorted(shapes))
        ),
        "make names, shapes and types in cases/{}/case.toml and in the exported graph agree".format(
            case
        ),
    )
