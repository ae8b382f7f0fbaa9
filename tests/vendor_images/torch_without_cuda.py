"""PyTorch's Linux wheel without its CUDA half: what a vendor's base has of PyTorch, on a CPU.

PyPI has no CPU build of the releases in the vendors' images. Of the CUDA build, the libraries that
compute on a GPU (libtorch_cuda, half of the bytes) are left out, and so are NVIDIA's own, which the
wheel asks for by name. In their places lie libraries of the same names that define every symbol
which the rest needs to be loaded: CUDA's run-time answers "no device", anything else ends the
process and says what was called. The stand-in (assay_standin.torch_cuda) maps torch.cuda to the CPU.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, ImageFault
from driver.stacks.install.pip_download import DownloadFailed, download
from driver.stacks.locks import parse_lock, target_of
from driver.stacks.wheelhouse import platform_options
from driver.system.hashing import key_of
from tests.vendor_images.archive import write_archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driver.stacks.base_image import Progress

MARK = "ASSAY-STANDIN"
"""A cut PyTorch has a file of this name; no real one has it."""

LEFT_OUT = re.compile(r"torch/(include|test|share)/|torch/bin/(?!torch_shm_manager)|nvfuser/")
GPU_LIBRARY = re.compile(r"torch/lib/(libtorch_cuda|libnvfuser|libcaffe2_nvrtc|libnccl)")
SYSTEM_LIBRARIES = ("libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6")
SYSTEM = re.compile(r"(lib(c|m|dl|rt|util|pthread|stdc\+\+|gcc_s)\.so|ld-linux)")
FALLBACK = "libtorch_cuda.so"
"""C++ symbols carry no version: which of the absent libraries has them makes no difference."""

NO_DEVICE = 100  # cudaErrorNoDevice
GIL_CHECKER = "_ZN4c10d15get_gil_checkerEv"
"""Called while PyTorch 2.2 and newer is imported, for the address of a pointer, which PyTorch then sets."""
PRELUDE = """#include <stdio.h>
#include <stdlib.h>
extern char _ZTVN10__cxxabiv117__class_type_infoE[];
static void refuse(const char *name) {
    fprintf(stderr, "%s was called, but this PyTorch has no CUDA: it is a stand-in\\n", name);
    abort();
}
"""


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """An undefined symbol of an ELF file: its version node ("" for none), and what it is."""

    name: str
    version: str
    kind: str

    def definition(self) -> str:
        """Return C that defines it."""
        if self.name.startswith("_ZTI"):
            # pybind11 asks for the type's name while it registers a class.
            return (
                f"struct {{ const void *table; const char *name; }} {self.name} = "
                f'{{ _ZTVN10__cxxabiv117__class_type_infoE + 16, "{self.name[4:]}" }};'
            )
        if self.kind == "OBJECT" or self.name.startswith(("_ZTV", "_ZTS")):
            return f"char {self.name}[256] __attribute__((aligned(16)));"
        if self.name.startswith("cuda"):
            return f"int {self.name}(void) {{ return {NO_DEVICE}; }}"
        if self.name == GIL_CHECKER:
            return f"void *{self.name}(void) {{ static void *checker; return &checker; }}"
        return f'void {self.name}(void) {{ refuse("{self.name}"); }}'


def pack_torch(lock: Path, python: str, folder: Path, on_progress: Progress) -> Path:
    """Return an archive of torch for site-packages, made of the wheel that ``lock`` names.

    Raises ImageFault when pip cannot fetch the wheel, EnvironmentFault without gcc and binutils.
    """
    (pin,) = parse_lock(lock)
    made_by = Path(__file__).read_text(encoding="utf-8")
    key = key_of({"hashes": sorted(pin.hashes), "by": made_by})
    archive = folder / f"torch-{pin.version}-{key[:12]}.tar.gz"
    if archive.is_file():
        return archive
    require_tools()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="torch-") as name:
        work = Path(name)
        on_progress(f"fetching torch {pin.version} of Python {python}, and cutting CUDA out of it")
        wheel = _fetch(lock, python, work / "wheel")
        tree = work / "tree"
        unpack(wheel, tree)
        wheel.unlink()
        replace_missing(tree / "torch", work)
        (tree / "torch" / MARK).write_text(f"cut from {wheel.name} for tests\n", encoding="utf-8")
        files = (path for path in tree.rglob("*") if path.is_file())
        return write_archive(archive, {path.relative_to(tree).as_posix(): path for path in files})


def require_tools() -> None:
    """Raise EnvironmentFault where gcc or readelf is missing."""
    lost = [tool for tool in ("gcc", "readelf", "nm") if shutil.which(tool) is None]
    if lost:
        raise EnvironmentFault(
            f"{', '.join(lost)} is missing, and PyTorch's stand-in base is made with it",
            "type: apt-get install g++ binutils",
        )


def _fetch(lock: Path, python: str, folder: Path) -> Path:
    lines = [pin.line for pin in parse_lock(lock)]
    options = platform_options(target_of(python))
    try:
        download([lines], folder, pip=(sys.executable, "-I", "-m", "pip"), options=options)
    except DownloadFailed as error:
        raise ImageFault(
            f"pip could not fetch what {lock} names: {error.tail}",
            "check that pip reaches a package index (pip config list)",
        ) from error
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack what a CPU runs; without headers, tests and the libraries that compute on a GPU."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if not LEFT_OUT.match(entry.filename) and not GPU_LIBRARY.match(entry.filename):
                path = Path(archive.extract(entry, folder))
                if entry.external_attr >> 16 & 0o100:
                    path.chmod(0o755)


def replace_missing(package: Path, work: Path) -> None:
    """Write a library of no use for every name that the package's libraries need and lack."""
    library = package / "lib"
    files = [*sorted(library.glob("*.so*")), *sorted(package.glob("_C*.so"))]
    present = {file.name for file in files}
    needed = {name for file in files for name in needed_libraries(file)}
    wanted: dict[str, list[Symbol]] = {
        name: [] for name in sorted(needed - present) if not SYSTEM.match(name)
    }
    owners = {version: name for file in files for version, name in _version_owners(file)}
    for symbol in lacking_symbols(files):
        owner = owners.get(symbol.version, FALLBACK) if symbol.version else FALLBACK
        if owner in wanted:
            wanted[owner].append(symbol)
    for name, symbols in wanted.items():
        _link(library / name, symbols, work)


def lacking_symbols(files: Iterable[Path]) -> list[Symbol]:
    defined, undefined = set(), {}
    for file in files:
        for symbol, is_defined in _symbols(file):
            if is_defined:
                defined.add(symbol.name)
            else:
                undefined[symbol.name] = symbol
    for name in SYSTEM_LIBRARIES:
        path = run_tool("gcc", f"-print-file-name={name}").strip()
        listed = run_tool("nm", "-D", "--defined-only", path).splitlines()
        defined |= {line.split()[-1].partition("@")[0] for line in listed}
    python = re.compile("_?Py")
    lost = sorted(name for name in undefined.keys() - defined if not python.match(name))
    return [undefined[name] for name in lost]


def _symbols(file: Path) -> Iterator[tuple[Symbol, bool]]:
    """Yield the strong symbols of a file's dynamic table, and whether it defines them."""
    for line in run_tool("readelf", "--dyn-syms", "--wide", str(file)).splitlines():
        cells = line.split()
        if len(cells) < 8 or cells[4] not in ("GLOBAL", "WEAK", "UNIQUE"):
            continue
        name, _, version = cells[7].partition("@")
        is_defined = cells[6] != "UND"
        if is_defined or cells[4] != "WEAK":
            yield Symbol(name=name, version=version.lstrip("@"), kind=cells[3]), is_defined


def needed_libraries(file: Path) -> list[str]:
    return re.findall(
        r"\(NEEDED\).*\[(.*)\]", run_tool("readelf", "--dynamic", "--wide", str(file))
    )


def _version_owners(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the version nodes that a file needs, each with the library that has it."""
    owner = ""
    for line in run_tool("readelf", "--version-info", "--wide", str(file)).splitlines():
        named = re.search(r"File: (\S+)", line)
        owner = named[1] if named else owner
        node = re.search(r"\bName: (\S+)\s+Flags", line)
        if node:
            yield node[1], owner


def _link(path: Path, symbols: list[Symbol], work: Path) -> None:
    source, versions = work / "library.c", work / "library.map"
    body = "".join(f"{symbol.definition()}\n" for symbol in symbols)
    source.write_text(PRELUDE + body, encoding="utf-8")
    nodes = sorted({symbol.version for symbol in symbols if symbol.version})
    versions.write_text("".join(f"{node} {{ global: *; }};\n" for node in nodes), encoding="utf-8")
    script = [f"-Wl,--version-script={versions}"] if nodes else []
    run_tool("gcc", "-shared", "-fPIC", "-w", "-O1", "-s", f"-Wl,-soname,{path.name}", *script,
          "-o", str(path), str(source), "-l:libstdc++.so.6")  # fmt: skip


def run_tool(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvironmentFault(
            f"{argv[0]} failed: {done.stderr.strip()[-400:]}",
            "type: apt-get install g++ binutils",
        )
    return done.stdout
