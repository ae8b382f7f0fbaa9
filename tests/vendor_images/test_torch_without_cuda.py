"""Libraries in the places of absent ones: the rest loads, and a call into them says what it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.vendor_images.torch_without_cuda import replace_missing
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on this machine")

RUNTIME = "int cudaGetDeviceCount(void) { return 0; }\nint cublasCreate_v2(void) { return 0; }\n"
USER = """
int cudaGetDeviceCount(void);
int cublasCreate_v2(void);
extern char _ZTVN5torch4CudaE[];
int devices(void) { return cudaGetDeviceCount(); }
int multiply(void) { return cublasCreate_v2() + _ZTVN5torch4CudaE[0]; }
"""


def shared(path: Path, code: str, *more: str) -> None:
    source = path.with_suffix(".c")
    source.write_text(code, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "-o", str(path), str(source), *more]
    subprocess.run(command, check=True, capture_output=True)
    source.unlink()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package whose library needs a versioned library, and C++ data, that are not there."""
    library = tmp_path / "torch" / "lib"
    library.mkdir(parents=True)
    versions = tmp_path / "versions"
    versions.write_text("libcudart.so.11.0 { global: *; };\n", encoding="utf-8")
    runtime = library / "libcudart.so.11.0"
    shared(runtime, RUNTIME, f"-Wl,-soname,{runtime.name}", f"-Wl,--version-script={versions}")
    gpu = library / "libtorch_cuda.so"
    shared(gpu, "char _ZTVN5torch4CudaE[8];", f"-Wl,-soname,{gpu.name}")
    shared(library / "libuser.so", USER, str(runtime), str(gpu), "-Wl,-rpath,$ORIGIN")
    runtime.unlink()
    gpu.unlink()
    return tmp_path / "torch"


def call(package: Path, function: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import ctypes; print(ctypes.CDLL({str(package / 'lib' / 'libuser.so')!r}).{function}())"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_a_library_loads_whose_needs_are_absent_and_no_device_is_found(
    package: Path, tmp_path: Path
) -> None:
    assert call(package, "devices").returncode == 1
    replace_missing(package, tmp_path)
    assert call(package, "devices").stdout == "100\n"


def test_a_call_that_would_compute_on_a_gpu_ends_and_says_which(
    package: Path, tmp_path: Path
) -> None:
    replace_missing(package, tmp_path)
    done = call(package, "multiply")
    assert done.returncode < 0
    assert "cublasCreate_v2 was called" in done.stderr
