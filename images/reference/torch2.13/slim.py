"""Makes an installed stack smaller, compiles it, and moves what other stacks have too into a folder of its own.

    PYTHONHASHSEED=0 python3 slim.py STACK SHARED

The packages that shared.txt names go to SHARED, with the same bytes in every stack whose folder has these two
files: an image that copies SHARED first, and STACK afterwards, has the first layer in common with the others.
"""

import csv
import os
import re
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Headers, sources and test programs, and what fetches from the hub, which no container reaches. numpy.testing imports one file of numpy's tests.
UNUSED = (
    *("torch/include", "torch/test", "torch/share", "torch/lib/*_test.so", "torch/bin/[!t]*"),
    *("torch/bin/t[!o]*", "onnx/backend/test", "onnxsim/*.cpp", "onnxsim/*.cc", "onnxsim/*.h"),
    *("sympy/**/tests", "sympy/**/benchmarks", "networkx/**/tests", "mpmath/tests", "hf_xet"),
    *(
        "numpy/**/tests/test_*.py",
        "numpy/**/tests/data",
        "numpy/_core/lib/*.a",
        "numpy/_core/include",
    ),
)

# What no stage imports gets no byte code: should a case import it, Python compiles it in memory.
NO_BYTE_CODE = re.compile(
    r"/(tests?/|testing/|benchmarks?/"
    r"|transformers/(models/(?!auto/)\w+/|exporters/|pipelines/|cli/|data/|testing_utils|train)"
    r"|diffusers/(pipelines|modular_pipelines|guiders|commands|models/controlnets|utils/dummy_)"
    r"|torch/(_inductor/(kernel|template_heuristics|autoheuristic|codegen/(?!common)\w+\.py"
    r"|codegen/cut|fx_passes/(serialized|auto_chunk|split_cat)|ir\.|scheduler\.|lowering\.|select_a"
    r"|compile_fx\.|pattern_m|runtime/(caching|triton_h))|_vendor/quack/|ao/(ns|pruning)/"
    r"|ao/quantization/(fx|backend_config)/|utils/(benchmark|hipify|tensorboard|cpp_ext)"
    r"|distributed/(pipelining|_tools|optim|flight_recorder|tensor/experimental)/|backends/_nnapi/"
    r"|_dynamo/repro/|fx/experimental/migrate_gradual_types/|sparse/_triton)"
    r"|sympy/(physics|stats|vector|codegen|holonomic|categories|diffgeom|crypto)/"
    r"|sympy/parsing/(autolev|latex)/|onnxscript/rewriter/(models|ort_fusions)/|onnxsim/rpc/"
    r"|onnxruntime/(quantization|tools|transformers)/|huggingface_hub/(cli|inference)/"
    r"|numpy/(f2py|distutils|polynomial|typing|_pyinstaller)/|torchgen/(packaged|api|dest)/"
    r"|(pydantic|fsspec|typer|click|pygments|markdown_it|setuptools|functorch)/)"
)

SYMTAB, ALLOC, HEADER = 2, 2, struct.Struct("<IIQQQQIIQQ")


def strip(path):
    """Remove the symbol table that no loader reads, as binutils' strip does; leave any odd file alone.

    patchelf moves loaded segments to the end of a file: one with such is left alone too.
    """
    with path.open("r+b") as stream:
        head = stream.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return
        (segments, table) = struct.unpack_from("<QQ", head, 32)
        size, count, _, sections, names = struct.unpack_from("<5H", head, 54)
        stream.seek(segments)
        loaded = [struct.unpack_from("<QQQQ", stream.read(size), 8) for _ in range(count)]
        end = max((offset + filed for offset, _, _, filed in loaded), default=0)
        stream.seek(table)
        rows = [list(HEADER.unpack(stream.read(HEADER.size))) for _ in range(sections)]
        gone = {number for number, row in enumerate(rows) if row[1] == SYMTAB}
        gone |= {rows[number][6] for number in gone}
        if not gone or names in gone or min(rows[number][4] for number in gone) < end:
            return
        if any(row[6] in gone for n, row in enumerate(rows) if n not in gone):
            return
        kept = [number for number in range(sections) if number not in gone]
        _rewrite(stream, rows, kept, names, end)


def _rewrite(stream, rows, kept, names, end):
    """Write the sections ``kept`` that are not loaded behind ``end``, and the table of all kept."""
    bodies = {}
    for number in kept:
        row = rows[number]
        if row[1] and not row[2] & ALLOC:
            stream.seek(row[4])
            bodies[number] = stream.read(row[5])
    stream.truncate(end)
    stream.seek(end)
    for number, body in bodies.items():
        stream.write(bytes(-stream.tell() % max(rows[number][8], 1)))
        rows[number][4] = stream.tell()
        stream.write(body)
    stream.write(bytes(-stream.tell() % 8))
    table = stream.tell()
    for number in kept:
        row = rows[number]
        row[6] = kept.index(row[6]) if row[6] in kept else 0
        stream.write(HEADER.pack(*row))
    stream.seek(40)
    stream.write(struct.pack("<Q", table))
    stream.seek(60)
    stream.write(struct.pack("<HH", len(kept), kept.index(names)))


def compile_all(site):
    """Compile each package in a process of its own: byte code depends on what a process compiled before."""

    def compiled(path):
        # Guests write no byte code. Hash-based byte code survives a copy that changes file times.
        # -f: what a .pth file imports has been compiled when this process started, with its time.
        options = ("-f", "-qq", "-x", NO_BYTE_CODE.pattern, "--invalidation-mode", "unchecked-hash")
        subprocess.run([sys.executable, "-m", "compileall", *options, str(path)], check=False)

    packages = [path for path in sorted(site.iterdir()) if path.is_dir() or path.suffix == ".py"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # The largest first: started last, it would keep one core busy alone.
        list(pool.map(compiled, sorted(packages, key=lambda path: path.name != "torch")))


def share(site, stack, shared):
    """Move the files of the packages in shared.txt, and their byte code, from ``stack`` to ``shared``."""
    names = set(Path(__file__).with_name("shared.txt").read_text(encoding="ascii").split())
    for info in sorted(site.glob("*.dist-info")):
        if re.sub(r"[-_.]+", "-", info.name.split("-")[0]).lower() not in names:
            continue
        rows = list(csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines()))
        for name, *_ in rows:
            path = Path(os.path.normpath(site / name))
            code = path.parent / "__pycache__"
            for one in (path, *code.glob(f"{path.stem}.cpython-*.pyc")):
                if one.is_file() and (one is path or path.suffix == ".py"):
                    target = shared / one.relative_to(stack)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    one.rename(target)


def main(stack, shared):
    """Do all of it."""
    (site,) = stack.glob("lib/python3.*/site-packages")
    for pattern in UNUSED:
        for path in sorted(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in site.rglob("*.so*"):
        if path.is_file() and not path.is_symlink():
            strip(path)
    compile_all(site)
    share(site, stack, shared)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
