"""How training uses the processor: its threads, and the memory of one step kept for the next."""

import ctypes

import torch

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def use_processor(threads: int) -> None:
    """Prepares this process for steps on the processor. Nothing but speed and memory change.

    A step allocates and frees each activation anew. glibc gives such large pieces back to the kernel, which clears them
    page by page when they are next touched (what that costs: `python -m training.step_bench`). Here freed memory
    stays with the process, which so holds what its largest step needed until it ends.

    Args:
        threads: At least 1.
    """
    torch.set_num_threads(threads)
    # Another C library has no such switch, and goes on as it does.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_TRIM_THRESHOLD, -1)  # Never.
        mallopt(_M_MMAP_MAX, 0)
