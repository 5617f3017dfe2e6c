"""CPU time is read from the kernel, by process."""

import os
import subprocess
import sys
import time

from loadtests.cpu import CLIENT, GATEWAY, STUBS, TRITON, CpuClock, cpu_seconds, difference, milliseconds_each


def test_work_is_seen() -> None:
    """What this process uses, within the kernel's ticks."""
    before, began = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert 0.05 < cpu_seconds(os.getpid()) - before < 0.5


def test_a_process_that_ended_counts_no_more() -> None:
    """A stub may be replaced while it is watched."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert cpu_seconds(process.pid) == 0


def test_processes_are_known_by_their_programs() -> None:
    """A gateway's own children are its own; Triton and its stubs are not; this process is the client."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        clock = CpuClock.of_stack(os.getpid())
        child.communicate()
    assert child.pid in clock.processes[GATEWAY]
    assert clock.processes[TRITON] == clock.processes[STUBS] == ()
    assert clock.processes[CLIENT] == (os.getpid(),)
    assert clock.read()[CLIENT] > 0


def test_costs_are_shared_among_requests() -> None:
    """Over all stretches of time."""
    used = [difference({"gateway": 1.0}, {"gateway": 1.5}), {"gateway": 0.25}]
    assert milliseconds_each(used, 100) == {"gateway": 7.5}
