"""Fixtures for all suites."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: what fails once fails again. A slow machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short path, in place of pytest's own: a Unix socket below it has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_material() -> Path:
    """Real photos beside the checkout; a test that asks for them is skipped where there are none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "hostile_images" / "MANIFEST.csv").exists():
        pytest.skip("no real test material beside the checkout")
    return folder
