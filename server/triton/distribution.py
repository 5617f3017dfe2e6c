"""Finds Triton in the `nvidia-pytriton` wheel and copies what a private server needs; never imports pytriton.

Copies, never links: when a stub's test run fails, Triton changes the file's mode, and through
a link that would reach the installed package. The wheel's own files are only read.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from server.triton.errors import TritonSetupError

STUB_NAME = "triton_python_backend_stub"
SERVER_NAME = "tritonserver"

_STUB_ANSWER = 1
"""What a sound stub exits with when it is started without arguments."""

_REINSTALL = "Install the serving requirements again: pip install -r requirements/serve.txt"


@dataclass(frozen=True, slots=True)
class TritonDistribution:
    """Where Triton and what it needs lie on this machine.

    Attributes:
        server: The `tritonserver` program.
        backend: The wheel's Python backend.
        stub: The stub program for this interpreter's version.
        loader_paths: Where the stub finds libpython and the wheel's own libraries.
        programs: The directory whose `python3` is this interpreter; the stub takes its environment from it.
        code: The package `server`, which the stubs import.
    """

    server: Path
    backend: Path
    stub: Path
    loader_paths: tuple[Path, ...]
    programs: Path
    code: Path

    def environment(self) -> dict[str, str]:
        """Returns the whole environment of the server's process: nothing is inherited.

        Variables for Python would be of no use: the stub's interpreter ignores them.
        """
        return {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "LD_LIBRARY_PATH": ":".join(map(str, self.loader_paths)),
            "LC_ALL": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "-1",
        }

    def copy_backend(self, backends: Path) -> Path:
        """Copies the Python backend below `backends` and returns the copied stub."""
        directory = backends / "python"
        directory.mkdir(parents=True)
        for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
            shutil.copyfile(self.backend / name, directory / name)
        stub = directory / STUB_NAME
        shutil.copyfile(self.stub, stub)
        stub.chmod(0o755)
        return stub

    def check_stub(self, stub: Path) -> None:
        """Runs a copied stub without arguments; a library that is missing shows now and not after Triton's 30 s.

        Raises:
            TritonSetupError: The stub does not run.
        """
        try:
            result = subprocess.run(
                [stub], env=self.environment(), capture_output=True, text=True, timeout=20, check=False
            )
        except PermissionError as error:
            raise TritonSetupError(
                f"{stub.parent} allows no programs to run.",
                cure="Choose a run directory on a file system that is not mounted noexec.",
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TritonSetupError(f"Triton's Python stub does not start: {error}", cure=_REINSTALL) from error
        if result.returncode != _STUB_ANSWER:
            raise stub_failure(result.stderr)


def find_distribution() -> TritonDistribution:
    """Finds Triton for this interpreter.

    Raises:
        TritonSetupError: The wheel, a part of it, or something that it needs of the interpreter is missing.
    """
    _check_numpy(importlib.metadata.version("numpy"))
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise TritonSetupError("The package nvidia-pytriton is not installed.", cure=_REINSTALL)
    package = Path(spec.submodule_search_locations[0])
    triton = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    programs = Path(sys.executable).parent
    found = TritonDistribution(
        server=triton / "bin" / SERVER_NAME,
        backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / version / STUB_NAME,
        loader_paths=(*_libpython_paths(), package.parent / "nvidia_pytriton.libs"),
        programs=programs,
        code=Path(__file__).resolve().parents[1],
    )
    missing = [path for path in (found.server, found.backend, found.stub) if not path.exists()]
    if missing:
        raise TritonSetupError(
            f"nvidia-pytriton lacks {', '.join(map(str, missing))}.", cure=f"Use Python 3.11 or 3.12. {_REINSTALL}"
        )
    if not (programs / "python3").exists():
        raise TritonSetupError(
            f"{programs} holds no python3, by which Triton's stub finds its packages.",
            cure="Run Loupe from a virtual environment: python3 -m venv .venv",
        )
    return found


def stub_failure(stderr: str) -> TritonSetupError:
    """Returns the error for what the dynamic loader said about a stub."""
    library = re.search(r"loading shared libraries: ([^:\s]+):", stderr)
    glibc = re.search(r"version `(GLIBC(?:XX)?_[\d.]+)' not found", stderr)
    if library and library.group(1).startswith("libpython"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return TritonSetupError(
            f"Triton's Python stub misses {library.group(1)}.",
            cure=f"Install it (Debian, Ubuntu: apt install libpython{version}), or use a Python that has it.",
        )
    if glibc:
        return TritonSetupError(
            f"Triton's Python stub needs {glibc.group(1)}.",
            cure="Use a system with glibc 2.35 or newer: Debian 12, Ubuntu 22.04.",
        )
    if library:
        return TritonSetupError(f"Triton's Python stub misses {library.group(1)}.", cure=_REINSTALL)
    return TritonSetupError(f"Triton's Python stub does not run: {stderr.strip()[-500:]}", cure=_REINSTALL)


def _check_numpy(version: str) -> None:
    """Refuses numpy 2 and later: this Triton's stub reads its arrays wrongly and says nothing."""
    if int(version.partition(".")[0]) >= 2:  # noqa: PLR2004 -- a major version
        raise TritonSetupError(f"Triton's Python stub misreads tensors under numpy {version}.", cure=_REINSTALL)


def _libpython_paths() -> tuple[Path, ...]:
    """Returns the directories that hold this interpreter's libpython; none for a static interpreter."""
    library = sysconfig.get_config_var("INSTSONAME") or ""
    directory = sysconfig.get_config_var("LIBDIR") or ""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    candidates = (Path(directory), Path(directory) / multiarch, Path(sys.base_prefix) / "lib")
    holding = [path for path in candidates if ".so" in library and (path / library).exists()]
    return tuple(dict.fromkeys(holding))
