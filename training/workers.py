"""Processes that work for this one, and end with it."""

import ctypes
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

PROCESSORS = len(os.sched_getaffinity(0))
"""How many this process may use: so many workers, unless told otherwise. What they make does not depend on it."""

_PR_SET_PDEATHSIG = 1


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Returns a pool of fresh processes, at least 1; each ends when this one does, even if this one is killed."""
    return ProcessPoolExecutor(
        max_workers=workers, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        # It was gone before anybody could be told.
        os._exit(1)
