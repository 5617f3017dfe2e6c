"""Processes by identity, and waiting for their ends."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from server.triton.processes import Process, children_of, own_processes


@pytest.fixture
def child() -> "Iterator[subprocess.Popen[bytes]]":
    """A process that lives until it is ended."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def identity(child: "subprocess.Popen[bytes]") -> Process:
    """Returns who a child is."""
    process = Process.of(child.pid)
    assert process is not None
    return process


def test_a_reused_pid_is_somebody_else(child: "subprocess.Popen[bytes]") -> None:
    """The same pid with another start is another process, and is never signalled."""
    former = Process(child.pid, identity(child).start_ticks - 1)
    former.end()
    assert not former.is_alive()
    assert identity(child).is_alive()


def test_a_zombie_has_ended(child: "subprocess.Popen[bytes]") -> None:
    """A process that nobody has reaped yet counts as ended."""
    process = identity(child)
    process.end()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive()
    assert Process.of(child.pid) is None


def test_children_and_own_processes_are_found(child: "subprocess.Popen[bytes]") -> None:
    """A child is found by its parent and by its user, with its command line."""
    process = identity(child)
    assert process in set(children_of(os.getpid()))
    assert process in set(own_processes())
    assert process.command() == ("sleep", "60")


@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_an_end_is_noticed(
    child: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    has_pidfd: bool,  # noqa: FBT001
) -> None:
    """With or without pidfds, waiting ends when the process does, and at once if it has ended before."""
    if not has_pidfd:

        def refuse(_: int) -> int:
            raise PermissionError

        monkeypatch.setattr(os, "pidfd_open", refuse)
    process = identity(child)
    waiting = asyncio.create_task(process.wait_exited())
    await asyncio.sleep(0)
    assert not waiting.done()
    process.signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        await waiting
        await process.wait_exited()
