"""benchmark.x86_64: a list of preprocessed files through a model, and a performance file."""

import os
import sys

import numpy as np

from assay_standin import clock, om

FLAGS = {"model_type", "device_id", "batch_size", "om_path", "input_text_path", "input_width",
         "input_height", "output_binary", "useDvpp"}  # fmt: skip


def main(argv):
    """Run; 0 or 1."""
    flags = {}
    for word in argv:
        name, _, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in FLAGS:
            print("[ERROR] unknown parameter {}".format(word))
            return 1
        flags[name] = value
    missing = sorted({"model_type", "om_path", "input_text_path", "batch_size"} - set(flags))
    if missing:
        print("[ERROR] parameter -{} is required".format(missing[0]))
        return 1
    try:
        _run(flags)
    except (om.OmError, OSError, ValueError) as error:
        print("[ERROR] {}".format(error), file=sys.stderr)
        return 1
    return 0


def _run(flags):
    model, size = om.Om(flags["om_path"]), int(flags["batch_size"])
    if model.inputs[0][2][0] != size:
        raise ValueError("batch_size {} is not the model's, {}".format(size, model.inputs[0][2][0]))
    files = _files(flags)
    device = int(flags.get("device_id") or 0)
    folder = os.path.join("result", "dumpOutput_device{}".format(device))
    os.makedirs(folder, exist_ok=True)
    spent = {"read": 0.0, "compute": 0.0, "post": 0.0}
    began = clock.now_s()
    for start in range(0, len(files), size):
        _batch(model, files[start : start + size], size, folder, flags, spent)
    wall_s = clock.now_s() - began
    path = os.path.join("result", "perf_vision_batchsize_{}_device_{}.txt".format(size, device))
    with open(path, "w") as file:
        file.write(_report(len(files), size, wall_s, spent))


def _files(flags):
    """Lines of the info file: number, path, width, height."""
    with open(flags["input_text_path"]) as file:
        rows = [line.split() for line in file if line.strip()]
    for row in rows:
        if len(row) != 4:
            raise ValueError("{}: 'number path width height' was expected: {}".format(
                flags["input_text_path"], " ".join(row)))  # fmt: skip
        if [row[2], row[3]] != [
            flags.get("input_width", row[2]),
            flags.get("input_height", row[3]),
        ]:
            raise ValueError("{} is {}x{}, not -input_width x -input_height".format(*row[1:]))
    return [row[1] for row in rows]


def _batch(model, paths, size, folder, flags, spent):
    began = clock.now_s()
    arrays = [np.fromfile(path, dtype=np.uint8) for path in paths]
    arrays += [arrays[-1]] * (size - len(arrays))
    spent["read"] += clock.now_s() - began
    outputs, compute_s = model.run([np.concatenate(arrays)])
    spent["compute"] += compute_s
    began = clock.now_s()
    for number, path in enumerate(paths):
        stem = os.path.splitext(os.path.basename(path))[0]
        for index, array in enumerate(outputs, 1):
            _save(array[number], os.path.join(folder, "{}_{}".format(stem, index)), flags)
    spent["post"] += clock.now_s() - began


def _save(array, stem, flags):
    if flags.get("output_binary", "").lower() == "true":
        array.tofile(stem + ".bin")
    else:
        np.savetxt(stem + ".txt", array.reshape(1, -1), fmt="%g")


def _report(count, size, wall_s, spent):
    """The e2e latency is the whole run; [post] counts batches; six digits, as C++ prints."""
    batches = -(-count // size)
    read_ms = spent["read"] * 1e3 / count
    infer_ms = (spent["read"] + spent["compute"]) * 1e3 / count
    post_ms = wall_s * 1e3 / batches
    rows = [
        "[e2e] throughputRate: {:g}, latency: {:g}".format(count / wall_s, wall_s * 1e3),
        "[data read] throughputRate: {:g}, moduleLatency: {:g}".format(1e3 / read_ms, read_ms),
        "[preprocess] throughputRate: {:g}, moduleLatency: {:g}".format(1e3 / read_ms, read_ms),
        "[infer] throughputRate: {:g}, Interface throughputRate: {:g}, moduleLatency: {:g}".format(
            1e3 / infer_ms, count / spent["compute"], infer_ms
        ),
        "[post] throughputRate: {:g}, moduleLatency: {:g}".format(1e3 / post_ms, post_ms),
    ]
    return "\n".join(rows) + "\n\n"
