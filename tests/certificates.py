"""A self-signed certificate for tests, made by openssl where the machine has it."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAME = "loupe.test"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Writes a certificate for `NAME` and its key, and returns their paths; skips the test without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
