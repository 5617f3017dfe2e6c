"""How much memory a process has, and all that it has started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.triton.distribution import STUB_NAME
from server.triton.processes import Process, children_of

GATEWAY = "gateway"
MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Of one process, in bytes.

    Attributes:
        resident: All of its pages; what it shares counts in each process that has it.
        proportional: The same, but what is shared counts by shares.
    """

    resident: int
    proportional: int


def family_of(pid: int) -> Mapping[Process, str]:
    """Returns a process and its descendants, each with the name of what it does: a stub's is its model."""
    process = Process.of(pid)
    assert process is not None
    found, unseen = {process: GATEWAY}, [process]
    while unseen:
        for child in children_of(unseen.pop().pid):
            command = child.command()
            if not command:
                continue
            program = Path(command[0]).name
            found[child] = Path(command[1]).parts[-3] if program == STUB_NAME else program
            unseen.append(child)
    return found


def memory_of(process: Process) -> Memory:
    """Reads it from the kernel's own sums."""
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = {name: int(value.split()[0]) << 10 for name, value in (line.split(":") for line in lines)}
    return Memory(fields["Rss"], fields["Pss"])
