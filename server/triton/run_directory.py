"""The private place of one embedded Triton, and the tidying up after gateways that were killed.

Directory and shared memory carry one name, `loupe_<pid namespace>_<pid>_<start>_<random>`, so that
anyone can tell whether their owner still lives. What a living gateway, another user or another
container owns is never touched.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.triton.distribution import SERVER_NAME, STUB_NAME
from server.triton.errors import TritonSetupError
from server.triton.processes import Process, own_processes

SHARED_MEMORY = Path("/dev/shm")
_OWNED = re.compile(r"(loupe_(\d+)_(\d+)_(\d+)_[0-9a-f]{8})(?:_.*)?")
_SOCKET_PATH_LIMIT_BYTES = 107
_PORT_SUFFIX = 1
"""Triton appends a port to whatever address it is given; in a socket's path it is part of the name."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one embedded Triton.

    Attributes:
        path: The directory; only this user can enter it.
    """

    path: Path

    @classmethod
    def create(cls, root: Path) -> Self:
        """Makes a new directory below `root`.

        Raises:
            TritonSetupError: It cannot be made there.
        """
        owner = Process.of(os.getpid())
        start_ticks = 0 if owner is None else owner.start_ticks
        name = f"loupe_{_pid_namespace()}_{os.getpid()}_{start_ticks}_{secrets.token_hex(4)}"
        created = cls(root / name)
        if len(os.fsencode(created.socket)) > _SOCKET_PATH_LIMIT_BYTES:
            raise TritonSetupError(f"The path {root} is too long for a socket.", cure="Choose a shorter run directory.")
        try:
            created.path.mkdir(mode=0o700)
            created.repository.mkdir()
        except OSError as error:
            raise TritonSetupError(
                f"No directory can be made in {root}: {error.strerror}.",
                cure="Choose a run directory that is writable.",
            ) from error
        return created

    @property
    def repository(self) -> Path:
        """The model repository that the server is pointed at."""
        return self.path / "repository"

    @property
    def backends(self) -> Path:
        """The private copy of the Python backend."""
        return self.path / "backends"

    @property
    def log(self) -> Path:
        """What the server and its stubs write."""
        return self.path / "triton.log"

    @property
    def socket(self) -> Path:
        """The socket on which the server listens; its directory keeps other users out."""
        return self.path / f"grpc:{_PORT_SUFFIX}"

    @property
    def grpc_arguments(self) -> tuple[str, str]:
        """How Triton is told to listen on `socket`."""
        return f"--grpc-address=unix:{self.path / 'grpc'}", f"--grpc-port={_PORT_SUFFIX}"

    @property
    def shared_memory_prefix(self) -> str:
        """What the names of the server's shared memory begin with."""
        return f"{self.path.name}_"

    def log_tail(self, line_count: int = 15) -> str:
        """Returns the last lines of the log, or nothing."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-line_count:])
        return ""

    def processes(self) -> Iterator[Process]:
        """Yields the servers and stubs that were started from this directory."""
        inside = str(self.path)
        for process in own_processes():
            program, *arguments = process.command() or ("",)
            is_stub = program == str(self.backends / "python" / STUB_NAME)
            is_server = Path(program).name == SERVER_NAME and any(inside in argument for argument in arguments)
            if is_stub or is_server:
                yield process

    def end_processes(self) -> list[Process]:
        """Ends, by id and at once, whatever still runs from this directory, and returns it."""
        ended = list(self.processes())
        for process in ended:
            process.end()
        return ended

    def link_code(self, package: Path) -> None:
        """Lets stubs import a package of ours: they search the directory that they run in, this one, first.

        So they run the gateway's very code, whether or not it is installed.
        """
        (self.path / package.name).symlink_to(package, target_is_directory=True)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps cleaners of temporary files away: systemd's leaves a locked directory alone, however old it is."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def protect_shared_memory(self) -> None:
        """Keeps other users from reading the server's shared memory, which holds photos; Triton makes it readable."""
        for region in self._regions():
            with suppress(FileNotFoundError):
                region.chmod(0o600)

    def sweep_shared_memory(self) -> None:
        """Removes the shared memory of this directory's server, which must have ended."""
        for region in self._regions():
            region.unlink(missing_ok=True)

    def remove(self) -> None:
        """Ends what is left of the server and removes its shared memory and this directory."""
        self.end_processes()
        self.sweep_shared_memory()
        shutil.rmtree(self.path, ignore_errors=True)

    def _regions(self) -> list[Path]:
        return [each for each in _own_entries(SHARED_MEMORY) if each.name.startswith(self.shared_memory_prefix)]


def sweep(root: Path) -> list[str]:
    """Removes what gateways of this user left behind when they were killed.

    Args:
        root: Where run directories are made.

    Returns:
        The names that were swept.
    """
    names = {
        match.group(1)
        for place in (root, SHARED_MEMORY)
        for entry in _own_entries(place)
        if (match := _OWNED.fullmatch(entry.name)) and _owner_is_gone(match)
    }
    for name in sorted(names):
        RunDirectory(root / name).remove()
    return sorted(names)


def _owner_is_gone(match: re.Match[str]) -> bool:
    _, namespace, pid, start_ticks = match.groups()
    return int(namespace) == _pid_namespace() and not Process(int(pid), int(start_ticks)).is_alive()


def _own_entries(directory: Path) -> Iterator[Path]:
    """Yields the entries of a directory that belong to this user."""
    with suppress(OSError):
        for entry in directory.iterdir():
            with suppress(OSError):
                if entry.lstat().st_uid == os.geteuid():
                    yield entry


def _pid_namespace() -> int:
    """Returns what tells pids of this container from those of another; 0 where it cannot be known."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
