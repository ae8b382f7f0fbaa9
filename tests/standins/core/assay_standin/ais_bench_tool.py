"""The ais_bench program in its two generations: files in, files out, and the summary JSON."""

import argparse
import json
import math
import os
import time

import numpy as np

from assay_standin import statistics


def main(argv, generation):
    """Run; 0 or 1."""
    args = _parser(generation).parse_args(argv)
    import aclruntime

    print("[INFO] acl init success")
    print("[INFO] open device {} success".format(args.device))
    try:
        session = aclruntime.InferenceSession(args.model, args.device, aclruntime.session_options())
        print("[INFO] load model {} success".format(args.model))
        print("[INFO] create model description success")
        return _infer(args, generation, session)
    except RuntimeError as error:
        print("[ERROR] {}".format(error))
        return 1


def _parser(generation):
    parser = argparse.ArgumentParser(prog="ais_bench" if generation == "0.0.2" else "ais_infer.py")
    parser.add_argument("--model", required=True)
    parser.add_argument("--input")
    parser.add_argument("--output")
    parser.add_argument("--output_dirname")
    parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    parser.add_argument("--loop", type=int, default=1)
    parser.add_argument("--debug", default=False)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--batchsize", type=int)
    parser.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    if generation == "0.0.2":
        parser.add_argument("--warmup_count", type=int, default=1)
    return parser


def _infer(args, generation, session):
    inputs = session.get_inputs()
    batch = args.batchsize or inputs[0].shape[0]
    stamp = time.strftime("%Y_%m_%d-%H_%M_%S")
    folder = None
    if args.output:
        folder = os.path.join(args.output, args.output_dirname or stamp)
        os.makedirs(folder, exist_ok=True)
        print("[INFO] output path:{}".format(folder))
    files = [_files(part) for part in args.input.split(",")] if args.input else None
    plan = list(_batches(files, inputs))
    zeros = [np.zeros(port.realsize, np.uint8) for port in inputs]
    warm = getattr(args, "warmup_count", 5)
    for _ in range(warm):
        session.run(None, plan[0][1] if files else zeros)
    print("[INFO] warm up {} times done".format(warm))
    session.reset_sumaryinfo()
    session.options().loop = args.loop
    filesinfo = {}
    for number, (names, arrays, each) in enumerate(plan):
        results = session.run(None, arrays)
        written = _save(results, names, each, folder, args.outfmt) if folder else []
        filesinfo[str(number)] = {"infiles": names, "outfiles": written}
    _summary(args, generation, session, batch, folder, stamp, filesinfo)
    return 0


def _files(path):
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        return [
            os.path.join(path, n) for n in names if n.endswith((".bin", ".npy", ".BIN", ".NPY"))
        ]
    if not os.path.isfile(path):
        raise RuntimeError("input {} is not a file or folder".format(path))
    return [path]


def _load(path):
    if path.lower().endswith(".npy"):
        return np.ascontiguousarray(np.load(path)).view(np.uint8).reshape(-1)
    return np.fromfile(path, dtype=np.uint8)


def _batches(files, inputs):
    """Yield (names of the first input's files, byte arrays, files a batch): the last batch is padded with its last."""
    if files is None:
        yield [], [np.zeros(port.realsize, np.uint8) for port in inputs], 1
        return
    if len(files) != len(inputs) or not files[0]:
        raise RuntimeError("{} input folders were given, the model has {} inputs".format(
            len(files), len(inputs)))  # fmt: skip
    size = (
        os.path.getsize(files[0][0])
        if files[0][0].lower().endswith("bin")
        else len(_load(files[0][0]))
    )
    each = inputs[0].realsize // size if size else 0
    if each == 0 or inputs[0].realsize % size:
        raise RuntimeError("Check_InputSize failed: file {} has {} bytes, input {} takes {}".format(
            files[0][0], size, inputs[0].name, inputs[0].realsize))  # fmt: skip
    runs = math.ceil(len(files[0]) / float(each))
    print("[INFO] get filesperbatch files0 size:{} tensor0size:{} filesperbatch:{} runcount:{}".format(
        size, inputs[0].realsize, each, runs))  # fmt: skip
    for start in range(0, len(files[0]), each):
        names = files[0][start : start + each]
        arrays = []
        for column in files:
            part = [_load(path) for path in column[start : start + each]]
            part += [part[-1]] * (each - len(part))
            arrays.append(np.concatenate(part))
        yield names, arrays, each


def _save(results, names, each, folder, kind):
    """Write one file an input file and output: a batch is cut into ``each``, its padding left out."""
    written = []
    for index, array in enumerate(results):
        parts = np.split(array, each) if each > 1 else [array]
        for part, name in zip(parts, names or ["pure_infer_data"]):
            stem = os.path.splitext(os.path.basename(name))[0]
            path = os.path.join(folder, "{}_{}.{}".format(stem, index, kind.lower()))
            _write(path, part, kind)
            written.append(path)
    return written


def _write(path, array, kind):
    if kind == "NPY":
        np.save(path, array)
    elif kind == "TXT":
        np.savetxt(
            path, array.reshape(1, -1) if array.ndim < 2 else array.reshape(array.shape[0], -1)
        )
    else:
        array.tofile(path)


def _timing(values, generation):
    row = {
        "min": min(values),
        "max": max(values),
        "mean": statistics.mean(values),
        "median": statistics.median(values),
        "percentile(99%)": statistics.percentile(values, 99),
    }
    return row if generation == "0.0.1" else dict(row, count=len(values))


def _summary(args, generation, session, batch, folder, stamp, filesinfo):
    times = list(session.sumary().exec_time_list)
    compute, h2d, d2h = (
        _timing(values, generation) for values in (times, session.h2d_ms, session.d2h_ms)
    )
    rate = 1000.0 * batch / compute["mean"]
    spelling = "batchsize.mean({})" if generation == "0.0.2" else "batchsize({})"
    print("[INFO] -----------------Performance Summary------------------")
    for name, row in (("H2D_latency", h2d), ("NPU_compute_time", compute), ("D2H_latency", d2h)):
        listed = ", ".join("{} = {}".format(key, row[key]) for key in row if key != "count")
        print("[INFO] {} (ms): {}".format(name, listed))
    print("[INFO] throughput 1000*{}/NPU_compute_time.mean({}): {}".format(
        spelling.format(batch), compute["mean"], rate))  # fmt: skip
    print("[INFO] ------------------------------------------------------")
    for line in ("unload model success, model Id is 1", "end to destroy context",
                 "end to reset device is {}".format(args.device), "end to finalize acl"):  # fmt: skip
        print("[INFO] " + line)
    if folder is None:
        return
    data = {
        "filesinfo": filesinfo, "args": vars(args), "NPU_compute_time": compute,
        "H2D_latency": h2d, "D2H_latency": d2h, "throughput": rate,
    }  # fmt: skip
    name = os.path.join(folder, "sumary.json")
    if generation == "0.0.2":
        # Neither counts nor single times are in the older generation's summary.
        data.update(npu_compute_time_list=times, pid=os.getpid())
        name = os.path.join(args.output, (args.output_dirname or stamp) + "_summary.json")
    with open(name, "w") as file:
        json.dump(data, file, indent=4)
