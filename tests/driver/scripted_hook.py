"""A hook for session tests, stdlib only: keeps the contract, or breaks it as `behaviour.json` says.

It runs as ``hook <stage> <job folder>``; a test writes ``{"infer": "half-json"}`` beside it. ``@<file>`` is what that
file holds, which is no part of the hook: with other words in it, the hook is still the same one to a cache.
It starts in every stage of every job: what few behaviours need is imported there.
"""

import json
import os
import pathlib
import sys
import time

stage, folder = sys.argv[1], pathlib.Path(sys.argv[2])
job = json.loads((folder / "job.json").read_text())
here = pathlib.Path(__file__).resolve().parent
notes = here / "behaviour.json"
said = json.loads(notes.read_text()).get(stage, "good") if notes.is_file() else "good"
if said.startswith("@"):
    said = pathlib.Path(said[1:]).read_text()
out = folder / "out"
# compile has no data.
ITEMS = 0
if (folder / "data").is_dir():
    ITEMS = json.loads((folder / "data" / "index.json").read_text())["count"]


def loop(name):
    # A millisecond: no interpreter starts and ends in two.
    times = {"wall_ns": 10**6, "in_flight": 1, "clock": "hook"}
    size = job["job"]["batch_size"]
    calls = max(1, -(-ITEMS // size))
    # The last batch is padded: core counts what the device computed, whole what the dataset has.
    return dict(times, name=name, items=calls * size if name == "core" else ITEMS, calls=calls)


def document(**more):
    report = {
        "schema": "assay/stage-report/1",
        "job_id": job["job"]["id"],
        "stage": stage,
        "repeat": job["repeat"],
        "status": "ok",
        "wall_ns": 3 * 10**6,
    }
    if stage in ("validate", "infer"):
        report["measurements"] = [loop("core"), loop("whole")]
        report["effective"] = {"arithmetic": job["arithmetic"]}
    if stage == "score":
        accuracy = {"kind": "labels", "items": ITEMS, "values": {"top1": 75.0}}
        worse = {"kind": "labels", "items": ITEMS, "values": {"top1": 70.0}}
        report["accuracy"] = {"infer": worse if said == "worse" else accuracy, "validate": accuracy}
    report.update(more)
    return report


def leave(report):
    (out / "report.json").write_text(json.dumps(report))


def export():
    for part, name in (("model", "export.json"), ("golden", "golden.json")):
        (out / part).mkdir()
        (out / part / name).write_text('{"opset": 18}')


print("stage", stage, "says", said)
failure = {"kind": stage if stage in ("export", "compile", "infer") else "infer"}
failure.update(message="the SDK said no", remedy="ask the vendor")
if stage == "export":
    export()
if said == "hang":
    (out / "hanging").write_text("")
    time.sleep(600)
elif said == "exit-3":
    sys.exit(3)
elif said == "no-report":
    sys.exit(0)
elif said == "half-json":
    (out / "report.json").write_text(json.dumps(document())[:40])
elif said == "nan":
    leave(document(wall_ns=float("nan")))
elif said == "prints-success":
    print("SUCCESS: everything went well")
    sys.exit(1)
elif said == "ok-but-exits-1":
    leave(document())
    sys.exit(1)
elif said == "failed-but-exits-0":
    leave(document(status="failed", failure=failure))
elif said == "fails":
    leave(document(status="failed", failure=failure))
    sys.exit(1)
elif said == "lacks-a-module":
    failure.update(kind="image", message="No module named 'acmertx'")
    leave(document(status="failed", failure=failure))
    sys.exit(1)
elif said == "bad-item":
    failure.update(kind="data", message="item 000001 is cut short")
    leave(document(status="failed", failure=failure))
    sys.exit(1)
elif said == "other-job":
    leave(document(job_id="f" * 16))
elif said == "other-repeat":
    leave(document(repeat=7))
elif said == "no-repeat":
    report = document()
    report.pop("repeat")
    leave(report)
elif said == "no-core":
    leave(document(measurements=[loop("whole")]))
elif said == "crashes-after-much-talk":
    for number in range(5000):
        print("pass", number, "of 5000")
    print("E19999: no kernel for LayerNormalization", flush=True)
    os.abort()
elif said == "grows":
    sys.stdout.flush()
    held = [bytearray(os.urandom(1 << 20) * 64) for _ in range(16)]
    time.sleep(600)
elif said == "warns":
    warning = {"code": "compiler_warning", "message": "W11001: Softmax fell back to fp32"}
    leave(document(warnings=[dict(warning, remedy="read its log")]))
elif said == "takes-a-second":
    # The loop is in the middle of the stage, so that a monitor's samples surround it.
    time.sleep(0.3)
    started = {"wall_ns": 6 * 10**8, "started_ns": time.monotonic_ns()}
    time.sleep(0.9)
    leave(document(measurements=[dict(loop("core"), **started), loop("whole")]))
elif said == "claims-a-minute":
    leave(
        document(measurements=[dict(loop("core"), items=10**9, wall_ns=61 * 10**9), loop("whole")])
    )
elif said == "claims-a-minute-by-a-tool":
    claimed = {"items": 10**9, "wall_ns": 61 * 10**9, "clock": "vendor-tool"}
    leave(document(measurements=[dict(loop("core"), **claimed), loop("whole")]))
elif said == "copies-more-than-it-did":
    # A tool that copies once and executes often: its wall time counts a copy for each execution.
    counted = {"wall_ns": 61 * 10**9, "compute_ns": 10**7, "clock": "vendor-tool"}
    leave(document(measurements=[dict(loop("core"), **counted), loop("whole")]))
elif said == "claims-more-than-it-had":
    time.sleep(1)
    loops = [dict(loop(name), wall_ns=10**9) for name in ("core", "whole", "latency")]
    leave(document(measurements=loops))
elif said == "slows-down":
    import struct

    # 400 calls of 1,500 to 3,500 ns, a millisecond together.
    times = [1500 + 2000 * call // 399 for call in range(400)]
    header = str({"descr": "<i8", "fortran_order": False, "shape": (len(times),)}).encode()
    header = header.ljust(118 - 1) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    (out / "core.npy").write_bytes(start + header + struct.pack(f"<{len(times)}q", *times))
    core = dict(loop("core"), calls=len(times), items=len(times) * job["job"]["batch_size"])
    core.update(samples="core.npy", wall_ns=sum(times))
    leave(document(measurements=[core, loop("whole")]))
elif said == "disagrees":
    leave(document(core_agreement=0.5))
elif said == "names-no-clock":
    loops = [loop("core"), loop("whole")]
    loops[0].pop("clock")
    leave(document(measurements=loops))
elif said == "claims-our-clock":
    leave(document(measurements=[dict(loop("core"), clock="harness"), loop("whole")]))
elif said == "makes-an-engine":
    import hashlib

    payload = b"engine" * 99
    (folder / "cache" / "engine.bin").write_bytes(payload)
    made = {"path": "cache/engine.bin", "bytes": len(payload)}
    leave(document(artifacts=[dict(made, sha256=hashlib.sha256(payload).hexdigest())]))
elif said == "reads-its-engine":
    whole = (folder / "cache" / "engine.bin").read_bytes() == b"engine" * 99
    failure.update(message="InvalidProtobuf")
    leave(document() if whole else document(status="failed", failure=failure))
    sys.exit(0 if whole else 1)
elif said == "names-its-files":
    # In a container the folder is /job, in a process below the home.
    text = f"{folder}/case/task.py and /job/case/a are broken, /jobs/case is not ours"
    failure.update(kind="data", message=text, remedy=f"read {folder}/case")
    leave(document(status="failed", failure=failure))
    sys.exit(1)
elif said == "runs-fp16":
    leave(document(effective={"precision": "fp32", "arithmetic": "fp16"}))
elif said == "states-no-arithmetic":
    leave(document(effective={"precision": "fp32"}))
elif said == "echoes-its-arithmetic":
    why = "the tool states nothing of what it built"
    leave(document(effective={"arithmetic": job["arithmetic"], "arithmetic_unread": why}))
elif said == "assumes-its-chip":
    warning = {"code": "effective_differs", "message": "the device is Acme2, compiled for it"}
    leave(document(effective={"arithmetic": "fp16"}, warnings=[dict(warning, remedy="CHIP=2")]))
elif said.startswith("python:"):
    # A good report, and then whatever a test wants to do to it.
    leave(document())
    exec(said[7:])
elif said == "few-items":
    leave(document(measurements=[loop("core"), dict(loop("whole"), items=1)]))
else:
    leave(document())
