"""Processes by identity: a pid together with the time of its start, because pids are used again.

Reads `/proc`, signals by id, and waits for exits without polling where the kernel allows it.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_POLL_INTERVAL_S = 0.1
_STATE, _PARENT, _START_TICKS = 0, 1, 19
"""Indices into the fields of /proc/<pid>/stat that follow the command's name."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine, for as long as it lives.

    Attributes:
        pid: Its id.
        start_ticks: When it started, in clock ticks since boot.
    """

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Returns the process that has this id now, or None if there is none or it is a zombie."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, int(fields[_START_TICKS]))

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def command(self) -> tuple[str, ...]:
        """Its command line, or nothing if it has ended or belongs to somebody else."""
        try:
            content = (_PROC / str(self.pid) / "cmdline").read_bytes()
        except OSError:
            return ()
        return tuple(content.rstrip(b"\0").decode(errors="replace").split("\0"))

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process has ended."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self) -> None:
        """Ends it at once."""
        self.signal(signal.SIGKILL)

    async def wait_exited(self) -> None:
        """Returns when the process has ended; at once if it has already."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        except OSError:  # An old kernel or a strict sandbox.
            await self._poll_exited()
            return
        try:
            if self.is_alive():
                await _wait_readable(descriptor)
        finally:
            os.close(descriptor)

    async def _poll_exited(self) -> None:
        while self.is_alive():  # noqa: ASYNC110 -- nobody else could set an event
            await asyncio.sleep(_POLL_INTERVAL_S)


def own_processes() -> Iterator[Process]:
    """Yields the processes of this user."""
    user = os.geteuid()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if entry.stat().st_uid == user and (process := Process.of(int(entry.name))):
                yield process


def children_of(pid: int) -> Iterator[Process]:
    """Yields the living children of a process."""
    for process in own_processes():
        fields = _stat(process.pid)
        if fields is not None and int(fields[_PARENT]) == pid:
            yield process


def _stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/<pid>/stat after the command's name, or None for no process or a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else fields


async def _wait_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def on_readable() -> None:
        loop.remove_reader(descriptor)
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(descriptor, on_readable)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
