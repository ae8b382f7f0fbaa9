"""trtexec of three generations: options, refusals, the clock, and what each prints."""

import json
import os
import sys
import time

import numpy as np

from assay_standin import clock, execution, faults, statistics, tensorrt_build
from assay_standin.tensorrt_build import BuildError

# option → (first version, last version); a value is taken where it has a "=".
ALWAYS = ((7, 0), (99, 0))
# The types of the graph are what 11 computes in.
WEAK = ((7, 0), (10, 99))
OPTIONS = {
    "onnx": ALWAYS, "loadEngine": ALWAYS, "saveEngine": ALWAYS, "fp16": WEAK, "int8": WEAK,
    "best": WEAK, "noTF32": ALWAYS, "minShapes": ALWAYS, "optShapes": ALWAYS, "maxShapes": ALWAYS,
    "shapes": ALWAYS, "iterations": ALWAYS, "warmUp": ALWAYS, "duration": ALWAYS, "avgRuns": ALWAYS,
    "percentile": ALWAYS, "threads": ALWAYS, "useCudaGraph": ALWAYS, "useSpinWait": ALWAYS,
    "noDataTransfers": ALWAYS, "exportTimes": ALWAYS, "exportOutput": ALWAYS, "loadInputs": ALWAYS,
    "exportProfile": ALWAYS, "dumpOutput": ALWAYS, "dumpProfile": ALWAYS, "verbose": ALWAYS,
    "device": ALWAYS, "inputIOFormats": ALWAYS, "outputIOFormats": ALWAYS, "plugins": ALWAYS,
    "sleepTime": ALWAYS, "exposeDMA": ALWAYS, "useManagedMemory": ((8, 0), (99, 0)),
    "streams": ((7, 0), (9, 99)), "infStreams": ((9, 0), (99, 0)),
    "workspace": ((7, 0), (9, 99)), "explicitBatch": ((7, 0), (9, 99)),
    "batch": ((7, 0), (9, 99)), "maxBatch": ((7, 0), (9, 99)),
    "buildOnly": ((7, 0), (8, 5)), "skipInference": ((8, 6), (99, 0)),
    "timingCacheFile": ((8, 0), (99, 0)), "memPoolSize": ((8, 4), (99, 0)),
    "profilingVerbosity": ((8, 4), (99, 0)), "dumpLayerInfo": ((8, 2), (99, 0)),
    "exportLayerInfo": ((8, 2), (99, 0)), "separateProfileRun": ((8, 0), (99, 0)),
    "idleTime": ((8, 2), (99, 0)), "builderOptimizationLevel": ((8, 6), (99, 0)),
    "bf16": ((9, 0), (10, 99)), "stronglyTyped": ((9, 0), (99, 0)),
    "includeDataTransfers": ((11, 0), (99, 0)), "noCudaGraph": ((11, 0), (99, 0)),
    "noSpinWait": ((11, 0), (99, 0)),
}  # fmt: skip

# The first release whose banner has a build number after the version.
BUILD_NUMBER_SINCE = (10, 4)
BUILD = 21


class Failed(Exception):
    """Logged as an error, then FAILED."""


def main(argv):
    """Run as the program: 0 for PASSED, 1 for FAILED."""
    command = " ".join(["trtexec"] + argv)
    _say("&&&& RUNNING {} # {}".format(_title(), command))
    try:
        _run(_options(argv))
    except (Failed, BuildError) as error:
        for line in str(error).splitlines():
            _log("E", line)
        _say("&&&& FAILED {} # {}".format(_title(), command))
        return 1
    _say("&&&& PASSED {} # {}".format(_title(), command))
    return 0


def _title():
    major, minor, patch = tensorrt_build.version()
    if major < 8:
        return "TensorRT.trtexec"
    number = "{}{}{:02}".format(major, minor, patch) if major < 10 else "{}{:02}{:02}".format(
        major, minor, patch)  # fmt: skip
    build = " [b{}]".format(BUILD) if (major, minor) >= BUILD_NUMBER_SINCE else ""
    return "TensorRT.trtexec [TensorRT v{}]{}".format(number, build)


def _say(text):
    print(text, flush=True)


def _log(severity, text):
    stamp = time.strftime("[%m/%d/%Y-%H:%M:%S]")
    stream = sys.stderr if severity in "WE" else sys.stdout
    print("{} [{}] {}".format(stamp, severity, text), file=stream, flush=True)


def _options(argv):
    options = {}
    for word in argv:
        name, _, value = word.lstrip("-").partition("=")
        first, last = OPTIONS.get(name, ((99, 0), (0, 0)))
        if not word.startswith("--") or not first <= tensorrt_build.version()[:2] <= last:
            raise Failed("Unknown option: --{} {}".format(name, value))
        options[name] = value
    if "onnx" not in options and "loadEngine" not in options:
        raise Failed("Model missing or format not recognized")
    return options


def _shapes(text):
    shapes = {}
    for item in filter(None, (text or "").split(",")):
        name, _, dims = item.rpartition(":")
        try:
            shapes[name.strip("'\"")] = tuple(int(dim) for dim in dims.split("x"))
        except ValueError:
            raise Failed("Invalid shapes: {}".format(text)) from None
    return shapes


def _run(options):
    engine, model_shapes = _engine(options)
    if "saveEngine" in options:
        with open(options["saveEngine"], "wb") as file:
            file.write(engine.tobytes())
    if "exportLayerInfo" in options:
        detailed = engine.header["detailed"]
        with open(options["exportLayerInfo"], "w") as file:
            file.write(tensorrt_build.layer_information(engine.header["precision"], detailed))
    if "buildOnly" in options or "skipInference" in options:
        return
    feeds = _feeds(engine, model_shapes, options)
    trace, warmups, outputs = _measure(engine, feeds, options)
    _log("I", "Warmup completed {} queries over {:g} ms".format(warmups, _warm_up_ms(options)))
    times = trace[warmups:]
    _report(times, (times[-1]["endD2hMs"] - times[0]["startH2dMs"]) / 1e3, options)
    if "exportTimes" in options:
        _export_times(trace[_export_from(warmups) :], options["exportTimes"])
    if "exportOutput" in options:
        _export_outputs(engine, outputs, options["exportOutput"])


def _engine(options):
    if "loadEngine" in options:
        try:
            with open(options["loadEngine"], "rb") as file:
                engine = tensorrt_build.open_engine(file.read())
        except OSError:
            raise Failed("Error opening engine file: {}".format(options["loadEngine"])) from None
        return engine, _shapes(options.get("shapes"))
    _log("I", "Start parsing network model")
    try:
        model = tensorrt_build.parse(options["onnx"])
    except BuildError as error:
        raise Failed("{}\nFailed to parse onnx file\nParsing model failed\n"
                     "Failed to create engine from model or file.\nEngine set up failed"
                     .format(error)) from None  # fmt: skip
    _log("I", "Finish parsing network model")
    profile = _profile(model, options)
    try:
        engine = tensorrt_build.engine(
            model,
            _precision(options),
            [profile] if profile else [],
            options.get("profilingVerbosity") == "detailed",
        )
    except BuildError as error:
        raise Failed("{}\nEngine could not be created from network\nBuilding engine failed\n"
                     "Failed to create engine from model or file.\nEngine set up failed"
                     .format(error)) from None  # fmt: skip
    if "warn" in faults.asked("compile"):
        _log(
            "W",
            "[TRT] Skipping tactic 0x0 due to insufficient memory on requested size of 1073741824",
        )
    shapes = _shapes(options.get("shapes")) or {name: s[1] for name, s in profile.items()}
    return engine, shapes


def _precision(options):
    for option, precision in (
        ("int8", "int8"),
        ("best", "int8"),
        ("fp16", "fp16"),
        ("bf16", "bf16"),
    ):
        if option in options:
            return precision
    return "fp32" if "noTF32" in options else "tf32"


def _profile(model, options):
    given = _shapes(options.get("shapes"))
    best = _shapes(options.get("optShapes")) or given
    low, high = _shapes(options.get("minShapes")) or best, _shapes(options.get("maxShapes")) or best
    names = {port.name for port in model.inputs}
    unknown = sorted((set(best) | set(given)) - names)
    if unknown and tensorrt_build.version()[:2] >= (8, 2):
        raise Failed('Cannot find input tensor with name "{}" in the network inputs! Please make sure '
                     "the input tensor names are correct.\nNetwork And Config setup failed\n"
                     "Building engine failed".format(unknown[0]))  # fmt: skip
    if not model.dynamic:
        if set(best) & names:
            raise Failed(
                "Static model does not take explicit shapes since the shape of inference tensors will "
                "be determined by the model itself\nNetwork And Config setup failed\nBuilding engine "
                "failed\nFailed to create engine from model or file.\nEngine set up failed"
            )
        return {}
    return {
        port.name: _port_profile(port, low, best, high) for port in model.inputs if port.dynamic
    }


def _port_profile(port, low, best, high):
    if port.name in best:
        return (
            low.get(port.name, best[port.name]),
            best[port.name],
            high.get(port.name, best[port.name]),
        )
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in port.dims)
    _log("W", "Dynamic dimensions required for input: {}, but no shapes were provided. Automatically "
         "overriding shape to: {}".format(port.name, "x".join(map(str, shape))))  # fmt: skip
    return shape, shape, shape


def _feeds(engine, shapes, options):
    loaded = dict(
        item.split(":", 1) for item in filter(None, options.get("loadInputs", "").split(","))
    )
    feeds = {}
    for name, dtype, dims in execution.Execution(engine).inputs:
        symbols = dict(zip(dims, shapes.get(name, ())))
        fallback = {} if not engine.header["profiles"] else dict(
            zip(dims, engine.header["profiles"][0].get(name, [(), (), ()])[1]))  # fmt: skip
        shape = [d if isinstance(d, int) else symbols.get(d, fallback.get(d, 1)) for d in dims]
        _check_profile(engine, name, shape)
        feeds[name] = _input(name, dtype, shape, loaded.get(name))
    return feeds


def _check_profile(engine, name, shape):
    for profile in engine.header["profiles"][:1]:
        low, _, high = profile.get(name, (shape, shape, shape))
        if not all(a <= s <= b for a, s, b in zip(low, shape, high)):
            raise Failed("3: [executionContext.cpp] shape {} of {} is outside of the profile".format(
                "x".join(map(str, shape)), name))  # fmt: skip


def _input(name, dtype, shape, path):
    if path is None:
        rng = (
            np.random.default_rng(0)
            if hasattr(np.random, "default_rng")
            else np.random.RandomState(0)
        )
        values = rng.normal(size=shape)
        return values.astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if not os.path.isfile(path) or os.path.getsize(path) != size:
        raise Failed(
            "Cannot read {} bytes from {} for input tensor with name {}".format(size, path, name)
        )
    return np.fromfile(path, dtype=dtype).reshape(shape)


def _warm_up_ms(options):
    return float(options.get("warmUp") or 200)


def _measure(engine, feeds, options):
    """(every query, how many of them were warm-up, the last outputs).

    As sampleInference.cpp and sampleReporting.cpp have it: one clock for both, and what is counted
    begins with the first query that computes after the warm-up.
    """
    run = execution.Execution(engine)
    # 11 leaves the copies out by default.
    copies = tensorrt_build.version() < (11,) or "includeDataTransfers" in options
    warm_ms = _warm_up_ms(options)
    until_ms = warm_ms + 1e3 * float(options.get("duration") or 3)
    iterations = int(options.get("iterations") or 10)
    _log("I", "Starting inference")
    trace, warmups, outputs = [], 0, []
    began = clock.now_s()
    while len(trace) - warmups < iterations or trace[-1]["startComputeMs"] < until_ms:
        row, outputs = _query(run, feeds, began, copies)
        trace.append(row)
        warmups += row["startComputeMs"] < warm_ms
    return trace, warmups, outputs


def _query(run, feeds, began, copies):
    """One inference: host to device, compute, device to host; times in ms since the start."""
    marks = [clock.now_s()]
    on_device = {name: array.copy() for name, array in feeds.items()} if copies else feeds
    marks.append(clock.now_s() if copies else marks[0])
    results = run.run(on_device)
    marks.append(clock.now_s())
    outputs = [array.copy() for array in results]
    marks.append(clock.now_s() if copies else marks[2])
    ms = [(mark - began) * 1e3 for mark in marks]
    return {
        "startEnqMs": ms[0], "endEnqMs": ms[1], "startH2dMs": ms[0], "endH2dMs": ms[1],
        "startComputeMs": ms[1], "endComputeMs": ms[2], "startD2hMs": ms[2], "endD2hMs": ms[3],
        "h2dMs": ms[1] - ms[0], "computeMs": ms[2] - ms[1], "d2hMs": ms[3] - ms[2],
        "latencyMs": ms[3] - ms[0],
    }, outputs  # fmt: skip


def _export_from(warmups):
    # Before 8.5 the whole trace is exported, warm-up and all.
    return 0 if tensorrt_build.version()[:2] < (8, 5) else warmups


def _export_times(times, path):
    rows = [{k: float(_g(v)) for k, v in _exported(row).items()} for row in times]
    with open(path, "w") as file:
        json.dump(rows, file, indent=2)


def _exported(row):
    """A query under the names of its version; 7.x writes the copy in and the enqueueing under each other's."""
    version = tensorrt_build.version()
    if version[:2] >= (8, 4):
        return row
    end_to_end = {"endToEndMs": row["endD2hMs"] - row["startH2dMs"]}
    if version >= (8, 0):
        return dict(row, **end_to_end)
    renamed = {
        "startEnqMs": row["startH2dMs"], "endEnqMs": row["endH2dMs"],
        "startInMs": row["startEnqMs"], "endInMs": row["endEnqMs"],
        "startComputeMs": row["startComputeMs"], "endComputeMs": row["endComputeMs"],
        "startOutMs": row["startD2hMs"], "endOutMs": row["endD2hMs"],
        "inMs": row["h2dMs"], "computeMs": row["computeMs"], "outMs": row["d2hMs"],
        "latencyMs": row["latencyMs"],
    }  # fmt: skip
    return dict(renamed, **end_to_end)


def _export_outputs(engine, outputs, path):
    rows = []
    for (name, _, _), array in zip(execution.Execution(engine).outputs, outputs):
        dims = "x".join(str(dim) for dim in array.shape)
        rows.append({"name": name, "dimensions": dims, "values": array.reshape(-1).tolist()})
    with open(path, "w") as file:
        json.dump(rows, file)


# --- what each generation prints --------------------------------------------------------------
def _report(times, wall_s, options):
    version = tensorrt_build.version()
    if version[0] < 8:
        _report_old(times, wall_s)
    else:
        _report_new(times, wall_s, version, options)


def _series(times):
    return {
        "latency": [row["latencyMs"] for row in times],
        "enqueue": [row["endEnqMs"] - row["startEnqMs"] for row in times],
        "h2d": [row["h2dMs"] for row in times],
        "compute": [row["computeMs"] for row in times],
        "d2h": [row["d2hMs"] for row in times],
    }


def _g(value):
    return "{:.6g}".format(value)


def _report_new(times, wall_s, version, options):
    series = _series(times)
    _log("I", "Timing trace has {} queries over {} s".format(len(times), _g(wall_s)))
    _log("I", "")
    _log("I", "=== Performance summary ===")
    _log("I", "Throughput: {} qps".format(_g(len(times) / wall_s)))
    lines = [("Latency", "latency"), ("Enqueue Time", "enqueue"), ("H2D Latency", "h2d"),
             ("GPU Compute Time", "compute"), ("D2H Latency", "d2h")]  # fmt: skip
    if version[:2] < (8, 4):
        lines.insert(1, ("End-to-End Host Latency", "latency"))
    if options.get("percentile"):
        percents = [float(part) for part in options["percentile"].split(",")]
    else:
        percents = [90, 95, 99] if version[:2] >= (8, 5) else [99]
    for label, key in lines:
        _log("I", "{}: {}".format(label, _statistics(series[key], percents)))
    _log("I", "Total Host Walltime: {} s".format(_g(wall_s)))
    _log("I", "Total GPU Compute Time: {} s".format(_g(sum(series["compute"]) / 1e3)))
    _log("I", "Explanations of the performance metrics are printed in the verbose logs.")
    _log("I", "")


def _statistics(values, percents):
    parts = [("min", min(values)), ("max", max(values)), ("mean", statistics.mean(values)),
             ("median", statistics.median(values))]  # fmt: skip
    parts += [("percentile({:g}%)".format(p), statistics.percentile(values, p)) for p in percents]
    return ", ".join("{} = {} ms".format(name, _g(value)) for name, value in parts)


def _report_old(times, wall_s):
    """7.x: an explicit batch counts as no query."""
    series = _series(times)
    _log("I", "Timing trace has 0 queries over {} s".format(_g(wall_s)))
    _log("I", "Host Latency")
    for name, value in _old_statistics(series["latency"]):
        text = "{}: {} ms (end to end {} ms)" if name != "percentile" else (
            "{}: {} ms at 99% (end to end {} ms at 99%)")  # fmt: skip
        _log("I", text.format(name, _g(value), _g(value)))
    _log("I", "throughput: 0 qps")
    _log("I", "walltime: {} s".format(_g(wall_s)))
    _log("I", "Enqueue Time")
    for name, value in _old_statistics(series["enqueue"]):
        if name in ("min", "max", "median"):
            _log("I", "{}: {} ms".format(name, _g(value)))
    _log("I", "GPU Compute")
    for name, value in _old_statistics(series["compute"]):
        _log("I", "{}: {} ms{}".format(name, _g(value), " at 99%" if name == "percentile" else ""))
    _log("I", "total compute time: {} s".format(_g(sum(series["compute"]) / 1e3)))


def _old_statistics(values):
    return [("min", min(values)), ("max", max(values)), ("mean", statistics.mean(values)),
            ("median", statistics.median(values)),
            ("percentile", statistics.percentile(values, 99))]  # fmt: skip
