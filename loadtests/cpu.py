"""CPU time by process, read from `/proc`: what a request costs, whoever spends it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.triton.processes import Process, children_of

GATEWAY, TRITON, STUBS, CLIENT = "gateway", "Triton", "Python stubs", "client"
SERVICE = (GATEWAY, TRITON, STUBS)
"""What a request costs beside the client."""

_PROGRAMS = {"tritonserver": TRITON, "triton_python_backend_stub": STUBS}
_USER_TICKS, _SYSTEM_TICKS = 11, 12
"""Indices into the fields of /proc/<pid>/stat that follow the command's name."""

CpuSeconds = Mapping[str, float]
"""By role, CPU seconds: user and system."""


@dataclass(frozen=True, slots=True)
class CpuClock:
    """Reads the CPU time of every process of a stack.

    Attributes:
        processes: By role, the ids of its processes.
    """

    processes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of_stack(cls, gateway: int) -> Self:
        """Watches a gateway, its Triton, the stubs of that, and this process as their client.

        Args:
            gateway: Its process id.
        """
        found: dict[str, tuple[int, ...]] = {GATEWAY: (gateway,), TRITON: (), STUBS: (), CLIENT: (os.getpid(),)}
        for each in _descendants(gateway):
            role = _PROGRAMS.get(Path((each.command() or ("",))[0]).name, GATEWAY)
            found[role] += (each.pid,)
        return cls(found)

    def read(self) -> dict[str, float]:
        """Returns the CPU seconds that each role has used up to now; a process that has ended counts no more."""
        return {role: sum(cpu_seconds(each) for each in pids) for role, pids in self.processes.items()}


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process since its start, all threads included; 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / os.sysconf("SC_CLK_TCK")


def difference(before: CpuSeconds, after: CpuSeconds) -> dict[str, float]:
    """Returns what each role used between two readings, in seconds."""
    return {role: after[role] - before[role] for role in before}


def milliseconds_each(used: list[CpuSeconds], count: int) -> dict[str, float]:
    """Returns by role how much each of `count` requests cost over several stretches of time, in milliseconds."""
    return {role: sum(each[role] for each in used) * 1e3 / count for role in used[0]}


def _descendants(pid: int) -> Iterator[Process]:
    for child in children_of(pid):
        yield child
        yield from _descendants(child.pid)
