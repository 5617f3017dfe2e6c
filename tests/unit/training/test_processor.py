"""Memory that one step frees is there for the next."""

import subprocess
import sys

_PAGE_BYTES = 4096
_PIECE_BYTES = 64 * 1024 * 1024
_ROUNDS = 8

_FAULTS = f"""
import resource
import sys

import torch

from training.processor import use_processor

if sys.argv[1] == "kept":
    use_processor(1)


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def step():
    torch.empty({_PIECE_BYTES}, dtype=torch.uint8).fill_(1)


def steps():
    for _ in range({_ROUNDS}):
        step()


steps()
before = faults()
steps()
print(faults() - before)
"""


def _faults(how: str) -> int:
    """Returns how many pages the kernel had to give, to a process of its own."""
    told = subprocess.run([sys.executable, "-c", _FAULTS, how], check=True, capture_output=True, text=True, timeout=120)
    return int(told.stdout)


def test_the_kernel_gives_the_memory_of_a_step_once() -> None:
    """What is freed stays: the kernel has no pages to clear again."""
    pages = _PIECE_BYTES // _PAGE_BYTES
    assert _faults("kept") < pages / 100
    assert _faults("returned") > pages, "no difference to be seen: glibc kept the memory of itself"
