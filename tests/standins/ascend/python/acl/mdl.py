"""acl.mdl: models, their descriptions, datasets, execution."""

import ctypes

import numpy as np
from assay_standin import om
from assay_standin.acl_state import (
    CONTEXT_NULL,
    DATA_TYPES,
    INVALID_MODEL_ID,
    INVALID_PARAM,
    state,
)

_GE_PARAM_INVALID = 145000


def load_from_file(path):
    """Return (model id, ret)."""
    if state.context is None:
        return None, CONTEXT_NULL
    try:
        model = om.Om(path)
    except om.OmError as error:
        return None, error.code
    number = len(state.models) + 1
    state.models[number] = model
    return number, 0


def unload(model_id):
    """Drop a model."""
    return 0 if state.models.pop(model_id, None) else INVALID_MODEL_ID


def create_desc():
    """Return an empty description."""
    return state.keep(["description", None])


def destroy_desc(desc):
    """Drop it."""
    return 0 if state.objects.pop(desc, None) else INVALID_PARAM


def get_desc(desc, model_id):
    """Fill a description with a model's."""
    if model_id not in state.models:
        return INVALID_MODEL_ID
    state.objects[desc][1] = state.models[model_id]
    return 0


def get_num_inputs(desc):
    """Return how many."""
    return len(state.objects[desc][1].inputs)


def get_num_outputs(desc):
    """Return how many."""
    return len(state.objects[desc][1].outputs)


def _size(port):
    return int(np.prod(port[2])) * port[1].itemsize


def _dims(port):
    return {"name": port[0], "dimCount": len(port[2]), "dims": list(port[2])}, 0


def get_input_size_by_index(desc, index):
    """Return bytes."""
    return _size(state.objects[desc][1].inputs[index])


def get_output_size_by_index(desc, index):
    """Return bytes."""
    return _size(state.objects[desc][1].outputs[index])


def get_input_name_by_index(desc, index):
    """Return the name."""
    return state.objects[desc][1].inputs[index][0]


def get_output_name_by_index(desc, index):
    """Return the name; real ones look like ``node:0:output``."""
    return "node:{}:{}".format(index, state.objects[desc][1].outputs[index][0])


def get_input_dims(desc, index):
    """Return ({name, dimCount, dims}, ret)."""
    return _dims(state.objects[desc][1].inputs[index])


def get_output_dims(desc, index):
    """Return ({name, dimCount, dims}, ret)."""
    return _dims(state.objects[desc][1].outputs[index])


def get_input_data_type(desc, index):
    """Return acl's number of the type."""
    return DATA_TYPES[state.objects[desc][1].inputs[index][1].name]


def get_output_data_type(desc, index):
    """Return acl's number of the type."""
    return DATA_TYPES[state.objects[desc][1].outputs[index][1].name]


def create_dataset():
    """Return an empty list of buffers."""
    return state.keep(["dataset", []])


def destroy_dataset(dataset):
    """Drop it; its buffers stay."""
    return 0 if state.objects.pop(dataset, None) else INVALID_PARAM


def add_dataset_buffer(dataset, buffer):
    """Return (dataset, ret)."""
    if dataset not in state.objects or buffer not in state.objects:
        return dataset, INVALID_PARAM
    state.objects[dataset][1].append(buffer)
    return dataset, 0


def get_dataset_num_buffers(dataset):
    """Return how many."""
    return len(state.objects[dataset][1])


def get_dataset_buffer(dataset, index):
    """Return one."""
    return state.objects[dataset][1][index]


def execute(model_id, inputs, outputs):
    """Run one batch, now."""
    model = state.models.get(model_id)
    if model is None:
        return INVALID_MODEL_ID
    sources = [state.objects[buffer] for buffer in state.objects[inputs][1]]
    targets = [state.objects[buffer] for buffer in state.objects[outputs][1]]
    if not _fits(sources, model.inputs) or not _fits(targets, model.outputs):
        return _GE_PARAM_INVALID
    arrays = [np.frombuffer(ctypes.string_at(a, size), dtype=np.uint8) for _, a, size in sources]
    results, _ = model.run(arrays)
    for (_, address, _), array in zip(targets, results):
        ctypes.memmove(address, np.ascontiguousarray(array).ctypes.data, array.nbytes)
    return 0


def execute_async(model_id, inputs, outputs, stream):
    """Run one batch when the stream is synchronised."""
    if model_id not in state.models or stream not in state.streams:
        return INVALID_PARAM
    state.streams[stream].append(lambda: execute(model_id, inputs, outputs))
    return 0


def _fits(buffers, ports):
    return len(buffers) == len(ports) and all(
        size == _size(port) and state.on_device(address, size)
        for (_, address, size), port in zip(buffers, ports)
    )
