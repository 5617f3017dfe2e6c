"""Finding Triton in the wheel, and what is said when the machine lacks something."""

import os
from pathlib import Path

import pytest

from server.triton import distribution
from server.triton.distribution import find_distribution, stub_failure
from server.triton.errors import TritonSetupError


def test_the_backend_is_copied_and_never_linked(tmp_path: Path) -> None:
    """Triton changes the mode of a stub that fails, which must not reach the installed package."""
    found = find_distribution()
    stub = found.copy_backend(tmp_path)
    assert os.access(stub, os.X_OK)
    for path in stub.parent.iterdir():
        assert not path.is_symlink()
        assert path.stat().st_nlink == 1
    assert not stub.samefile(found.stub)


def test_a_sound_stub_passes(tmp_path: Path) -> None:
    """The stub of this interpreter runs here."""
    found = find_distribution()
    found.check_stub(found.copy_backend(tmp_path))


def test_a_stub_that_misses_a_library_says_which(tmp_path: Path) -> None:
    """A stub that the loader cannot start is found before Triton waits for it."""
    found = find_distribution()
    stub = found.copy_backend(tmp_path)
    stub.write_text(
        "#!/bin/sh\necho 'error while loading shared libraries: libpython3.11.so.1.0: cannot' >&2; exit 127"
    )
    with pytest.raises(TritonSetupError, match=r"libpython3\.11\.so\.1\.0") as caught:
        found.check_stub(stub)
    assert "apt install libpython3" in caught.value.cure


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        ("stub: error while loading shared libraries: libcudart-1.so: cannot open", "libcudart-1.so"),
        ("stub: /lib/libc.so.6: version `GLIBC_2.35' not found (required by stub)", "GLIBC_2.35"),
        ("stub: Illegal instruction", "Illegal instruction"),
    ],
)
def test_each_failure_has_a_cause_and_a_cure(stderr: str, cause: str) -> None:
    """Two lines: what is wrong, what to do."""
    error = stub_failure(stderr)
    assert cause in error.cause
    assert error.cure
    assert str(error) == f"{error.cause}\n{error.cure}"


def test_numpy_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Triton's stub reads tensors wrongly under numpy 2 and says nothing."""
    monkeypatch.setattr(distribution.importlib.metadata, "version", lambda _: "2.1.0")
    with pytest.raises(TritonSetupError, match=r"numpy 2\.1\.0"):
        find_distribution()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error says what to install."""
    monkeypatch.setattr(distribution.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TritonSetupError, match="nvidia-pytriton is not installed"):
        find_distribution()


def test_the_server_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the gateway's environment do not reach the process that decodes photos."""
    monkeypatch.setenv("LOUPE_TOKEN", "secret")
    environment = find_distribution().environment()
    assert "LOUPE_TOKEN" not in environment
    assert not any("secret" in value for value in environment.values())
