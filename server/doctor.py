"""Says what this machine lacks to run Loupe, and how to mend it.

Standard library only, and no syntax younger than Python 3.8: it runs before anything is
installed, also under a Python that Loupe does not support.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import platform
import shutil
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Callable, NamedTuple  # noqa: UP035 - Python 3.8 has no other

SUPPORTED_PYTHONS = ((3, 11), (3, 12))
MIN_GLIBC = (2, 35)
MIN_SHM_BYTES = 64 * 1024 * 1024
MIN_DISK_BYTES = 2 * 1024 * 1024 * 1024
SHM = "/dev/shm"
DEFAULT_PORTS = (50051,)

OK, WARNING, MISSING = "ok", "warning", "missing"


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        subject: What was looked at.
        state: `ok`, `warning` (Loupe runs, with a drawback) or `missing` (it does not run).
        seen: What is there.
        cure: What to do; empty if all is well.
    """

    subject: str
    state: str
    seen: str
    cure: str = ""


def examine(ports: tuple[int, ...] = DEFAULT_PORTS) -> list[Finding]:
    """Returns a finding for each thing that Loupe needs of a machine."""
    checks = [_check_python, _check_platform, _check_venv, _check_libpython, _check_glibc, _check_shm, _check_disk]
    checks += [_port_check(port) for port in ports]
    return [check() for check in checks]


def main(arguments: list[str] | None = None) -> int:
    """Prints the findings; returns 1 if something is missing, else 0."""
    parser = argparse.ArgumentParser(prog="loupe doctor", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--before-install", action="store_true", help="speak only of what keeps Loupe from installing")
    options = parser.parse_args(arguments)
    findings = examine(() if options.before_install else DEFAULT_PORTS)
    bad = [finding for finding in findings if finding.state == MISSING]
    if not options.before_install or bad:
        sys.stdout.write(render(findings) + "\n")
    if bad:
        sys.stdout.write("\nLoupe does not run here yet: mend what is marked 'missing', then try again.\n")
    elif not options.before_install:
        sys.stdout.write("\nThis machine has what Loupe needs. Next: make serve\n")
    return 1 if bad else 0


def render(findings: list[Finding]) -> str:
    """Returns the findings as lines of text, each cure below its finding."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<8} {finding.subject:<{width}}  {finding.seen}")
        if finding.cure:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.cure}")
    return "\n".join(lines)


def _minor_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _check_python() -> Finding:
    seen = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] in SUPPORTED_PYTHONS and platform.python_implementation() == "CPython":
        return Finding("Python", OK, seen)
    return Finding("Python", MISSING, seen, "install CPython 3.11 or 3.12, then: make serve PYTHON=python3.12")


def _check_platform() -> Finding:
    seen = f"{platform.system()} {platform.machine()}"
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return Finding("platform", OK, seen)
    return Finding("platform", MISSING, seen, "the embedded Triton and the pinned packages are for Linux on x86-64")


def _check_venv() -> Finding:
    if sys.prefix != sys.base_prefix:
        return Finding("venv", OK, f"running in {sys.prefix}")
    lacking = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if not lacking:
        return Finding("venv", OK, "venv and ensurepip are there")
    cure = f"install the module, on Debian and Ubuntu: apt-get install python{_minor_version()}-venv"
    return Finding("venv", MISSING, f"no {' and no '.join(lacking)}", cure)


def _check_libpython() -> Finding:
    name = f"libpython{_minor_version()}.so.1.0"
    for folder in (Path(sysconfig.get_config_var("LIBDIR") or "/"), Path(sys.base_prefix) / "lib"):
        path = folder / name
        if path.exists():
            readable = os.access(path, os.R_OK)
            return Finding("libpython", OK if readable else MISSING, str(path), "" if readable else "make it readable")
    try:
        ctypes.CDLL(name)
    except OSError:
        version = _minor_version()
        cure = (
            f"Triton's Python backend links it; on Debian and Ubuntu: apt-get install libpython{version}; "
            f"with pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {version}"
        )
        return Finding("libpython", MISSING, f"no {name}", cure)
    return Finding("libpython", OK, f"{name} on the loader's path")


def _check_glibc() -> Finding:
    name, version = platform.libc_ver()
    parts = tuple(int(part) for part in version.split(".")[:2]) if version else ()
    if name == "glibc" and parts >= MIN_GLIBC:
        return Finding("glibc", OK, version)
    cure = "the embedded Triton needs glibc 2.35 or newer: Debian 12, Ubuntu 22.04 or younger"
    return Finding("glibc", MISSING, f"{name or 'no glibc'} {version}".strip(), cure)


def _check_shm() -> Finding:
    if not os.access(SHM, os.W_OK):
        return Finding("/dev/shm", MISSING, "absent or not writable", "mount a tmpfs there, world-writable (mode 1777)")
    free = shutil.disk_usage(SHM).free
    seen = f"{free >> 20} MiB free"
    if free >= MIN_SHM_BYTES:
        return Finding("/dev/shm", OK, seen)
    return Finding("/dev/shm", MISSING, seen, "Triton needs 64 MiB or more; in a container: --shm-size=256m")


def _check_disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    seen = f"{free / 2**30:.1f} GiB free here"
    if free >= MIN_DISK_BYTES:
        return Finding("disk", OK, seen)
    return Finding("disk", WARNING, seen, "serving takes 1 GiB, training and testing 10 GiB")


def _port_check(port: int) -> Callable[[], Finding]:
    def check() -> Finding:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                cure = "end what listens there (a Loupe already?), or serve elsewhere: LOUPE_LISTEN=127.0.0.1:50151"
                return Finding(f"port {port}", WARNING, os.strerror(error.errno or 0), cure)
        return Finding(f"port {port}", OK, "free")

    return check


if __name__ == "__main__":
    sys.exit(main())
