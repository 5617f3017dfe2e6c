"""The doctor finds what is missing, says how to mend it, and runs before anything is installed."""

import ast
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server import doctor


def test_this_machine_can_run_the_tests_and_so_loupe() -> None:
    """Everything but free ports is there."""
    assert [each for each in doctor.examine(()) if each.state == doctor.MISSING] == []


def test_a_taken_port_is_a_warning_with_a_cure() -> None:
    """Another server there does not keep Loupe from being installed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = doctor.examine((port,))[-1]
    assert finding.state == doctor.WARNING
    assert "LOUPE_" in finding.cure


def test_an_unsupported_python_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the exit code says that Loupe does not run."""
    monkeypatch.setattr(doctor, "SUPPORTED_PYTHONS", ())
    finding = doctor.examine(())[0]
    assert finding.state == doctor.MISSING
    assert "3.12" in finding.cure
    assert doctor.main(["--before-install"]) == 1


def test_missing_glibc_venv_and_shared_memory_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each by its own finding."""
    monkeypatch.setattr(doctor.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(doctor.sys, "prefix", doctor.sys.base_prefix)
    monkeypatch.setattr(doctor, "SHM", str(tmp_path / "absent"))
    missing = {each.subject for each in doctor.examine(()) if each.state == doctor.MISSING}
    assert missing == {"glibc", "venv", "/dev/shm"}


def test_a_python_without_its_shared_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's Python backend could not start a stub."""
    monkeypatch.setattr(doctor, "_minor_version", lambda: "3.99")
    finding = next(each for each in doctor.examine(()) if each.subject == "libpython")
    assert finding.state == doctor.MISSING
    assert "--enable-shared" in finding.cure


def test_the_doctor_needs_only_the_standard_library(repository_root: Path) -> None:
    """It runs in an isolated interpreter without site-packages, and parses as Python 3.8."""
    source = repository_root / "server" / "doctor.py"
    ast.parse(source.read_text(), feature_version=(3, 8))
    done = subprocess.run([sys.executable, "-I", "-S", str(source)], capture_output=True, text=True, check=False)
    assert "glibc" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
