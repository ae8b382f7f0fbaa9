"""NVIDIA's genuine Python bindings, from the package index, on libraries that do nothing.

The wheels of the bindings have no TensorRT inside: they need libnvinfer and libnvonnxparser, which only NVIDIA's
own index has. What they ask of these when they are imported is some dozen C functions. With stubs of those, names,
signatures and enums of a release can be checked anywhere; behaviour cannot.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

from driver.system.file_lock import locked
from tests.harness.interpreters import HOME
from tests.vendor_images.torch_without_cuda import lacking_symbols, needed_libraries, run_tool

HERE = Path(__file__).parent
FOLDER = HOME / "tests" / "nvidia-bindings"
SYSTEM = re.compile(r"(lib(c|m|dl|rt|util|pthread|stdc\+\+|gcc_s)\.so|ld-linux|libcuda\.so)")
LOADED = re.compile(r"lib(?:nv\w+)\.so(?:\.\d+)?")


def installed(name: str) -> tuple[Path | None, str]:
    """Return a folder with the packages of ``name``.txt (a lock), on stubs; None and why otherwise.

    Folders are made once and kept; the name of one has the digest of what it was made from.
    """
    lost = [tool for tool in ("gcc", "readelf", "nm") if shutil.which(tool) is None]
    if lost:
        return None, f"{', '.join(lost)} is missing: apt-get install gcc binutils"
    folder = FOLDER / f"{name}-py{sys.version_info[0]}.{sys.version_info[1]}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with locked(FOLDER / f"{folder.name}.lock"):
        done = folder / "done"
        wanted = (HERE / f"{name}.txt").read_text(encoding="utf-8") + _stub() + _stub("cuda_stub.c")
        if done.is_file() and done.read_text(encoding="utf-8") == wanted:
            return folder, ""
        shutil.rmtree(folder, ignore_errors=True)
        problem = _install(HERE / f"{name}.txt", folder)
        if problem:
            return None, problem
        _add_stubs(folder)
        _add_cuda(folder)
        done.write_text(wanted, encoding="utf-8")
    return folder, ""


def _stub(name: str = "stub.c") -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _install(lock: Path, folder: Path) -> str:
    """Install a lock's packages into a folder; return why it cannot be done, or an empty text."""
    done = subprocess.run(
        [
            *[find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"],
            *["--only-binary", ":all:", "--python", sys.executable, "--target", str(folder)],
            *["-r", str(lock)],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["?"])[-1].strip()
    return f"{lock.stem} cannot be installed from the package index: {last}"


def _add_stubs(folder: Path) -> None:
    """Write a library for every name that the bindings need, with every symbol that they lack."""
    modules = sorted(folder.glob("tensorrt_bindings/*.so"))
    if not modules:
        return
    library = folder / "lib"
    library.mkdir()
    loaded = LOADED.findall((modules[0].parent / "__init__.py").read_text(encoding="utf-8"))
    needed = {name for module in modules for name in needed_libraries(module)} | set(loaded)
    source = library / "stub.c"
    functions = "".join(f"FUNCTION({symbol.name})\n" for symbol in lacking_symbols(modules))
    source.write_text(_stub() + functions, encoding="utf-8")
    for name in sorted(name for name in needed if not SYSTEM.match(name)):
        run_tool("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", f"-Wl,-soname,{name}",
                 "-o", str(library / name), str(source), "-l:libstdc++.so.6")  # fmt: skip


#: The functions that cuda_stub.c itself has.
OWN = re.compile(r"^(?:int|const char \*)(?: |)(\w+)\(", re.MULTILINE)


def _add_cuda(folder: Path) -> None:
    """Write CUDA's libraries for ONNX Runtime's provider, with every symbol that it lacks."""
    capi = folder / "onnxruntime" / "capi"
    if not capi.is_dir():
        return
    library = folder / "lib"
    library.mkdir()
    modules = [capi / f"libonnxruntime_providers_{name}.so" for name in ("cuda", "shared")]
    own = {*OWN.findall(_stub("cuda_stub.c")), "__tls_get_addr"}
    names = [one.name for one in lacking_symbols(modules) if one.name not in own]
    source = library / "cuda_stub.c"
    functions = "".join(f"FUNCTION({name})\n" for name in names)
    source.write_text(_stub("cuda_stub.c") + functions, encoding="utf-8")
    for name in sorted(set(needed_libraries(modules[0]))):
        if re.match("libcu", name):
            run_tool("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", f"-Wl,-soname,{name}",
                     "-o", str(library / name), str(source))  # fmt: skip
