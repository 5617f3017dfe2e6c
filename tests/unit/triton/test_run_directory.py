"""Run directories, and what is swept after gateways that were killed."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.triton import run_directory
from server.triton.errors import TritonSetupError
from server.triton.processes import Process
from server.triton.run_directory import RunDirectory, sweep


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place that stands for /dev/shm."""
    place = tmp_path / "shm"
    place.mkdir()
    monkeypatch.setattr(run_directory, "SHARED_MEMORY", place)
    return place


def leave_behind(root: Path, memory: Path, *, pid: int, start_ticks: int, namespace: int | None = None) -> str:
    """Makes what a killed gateway leaves, and returns its name."""
    own = Path("/proc/self/ns/pid").stat().st_ino
    name = f"loupe_{own if namespace is None else namespace}_{pid}_{start_ticks}_0123abcd"
    (root / name / "repository").mkdir(parents=True)
    (memory / f"{name}_5a1e").write_bytes(b"photos")
    return name


def remains(root: Path, memory: Path, name: str) -> tuple[bool, bool]:
    """Whether the directory and the shared memory of a run are still there."""
    return (root / name).exists(), (memory / f"{name}_5a1e").exists()


def test_what_the_dead_left_is_swept(tmp_path: Path, memory: Path) -> None:
    """A gateway that is gone needs neither directory nor shared memory; a reused pid is not it."""
    gone = leave_behind(tmp_path, memory, pid=2**22 + 1, start_ticks=1)
    reused = leave_behind(tmp_path, memory, pid=os.getpid(), start_ticks=1)
    assert sweep(tmp_path) == sorted([gone, reused])
    assert remains(tmp_path, memory, gone) == (False, False)
    assert remains(tmp_path, memory, reused) == (False, False)


def test_shared_memory_is_swept_without_a_directory(tmp_path: Path, memory: Path) -> None:
    """A run whose directory is gone already may still own memory."""
    name = leave_behind(tmp_path, memory, pid=2**22 + 1, start_ticks=1)
    RunDirectory(tmp_path / name).path.rename(tmp_path / "elsewhere")
    sweep(tmp_path)
    assert remains(tmp_path, memory, name) == (False, False)


def test_the_living_are_left_alone(tmp_path: Path, memory: Path) -> None:
    """Another gateway of this user keeps what it has."""
    me = Process.of(os.getpid())
    assert me is not None
    name = leave_behind(tmp_path, memory, pid=me.pid, start_ticks=me.start_ticks)
    assert sweep(tmp_path) == []
    assert remains(tmp_path, memory, name) == (True, True)


def test_another_container_is_left_alone(tmp_path: Path, memory: Path) -> None:
    """Pids of another namespace say nothing here."""
    name = leave_behind(tmp_path, memory, pid=2**22 + 1, start_ticks=1, namespace=7)
    assert sweep(tmp_path) == []
    assert remains(tmp_path, memory, name) == (True, True)


def test_strangers_are_left_alone(tmp_path: Path, memory: Path) -> None:
    """Only names that Loupe gives are swept."""
    for name in ("loupe_notes", "loupe_1_2_3_tooshort", "other"):
        (tmp_path / name).mkdir()
        (memory / name).write_bytes(b"")
    assert sweep(tmp_path) == []


def test_nobody_else_can_enter(tmp_path: Path) -> None:
    """The directory holds the server's socket and the log."""
    directory = RunDirectory.create(tmp_path)
    assert directory.path.stat().st_mode & 0o077 == 0
    assert directory.repository.is_dir()


def test_shared_memory_becomes_private(tmp_path: Path, memory: Path) -> None:
    """Triton makes it readable to all, and it holds photos."""
    directory = RunDirectory.create(tmp_path)
    mine, other = memory / f"{directory.shared_memory_prefix}x", memory / "other"
    for region in (mine, other):
        region.touch(mode=0o644)
    directory.protect_shared_memory()
    assert mine.stat().st_mode & 0o777 == 0o600
    assert other.stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_used_is_refused_with_a_cure(tmp_path: Path) -> None:
    """A path too long for a socket, and one that does not exist."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    for place in (long, tmp_path / "missing"):
        with pytest.raises(TritonSetupError) as caught:
            RunDirectory.create(place)
        assert "run directory" in caught.value.cure


def test_cleaners_of_temporary_files_are_kept_away(tmp_path: Path) -> None:
    """systemd-tmpfiles asks for this lock before it removes old files."""
    directory = RunDirectory.create(tmp_path)
    cleaner = os.open(directory.path, os.O_RDONLY)
    with directory.kept(), pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)
