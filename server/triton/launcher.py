"""Starts Triton so that it cannot outlive the gateway: run as a script, `launcher.py PARENT_PID PROGRAM ARGUMENT...`.

Between fork and exec a multi-threaded Python may run no code of its own, so this small
process sets what has to be set and becomes Triton. Standard library only; takes 30 ms.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Binds this process's life to the parent's, makes its files private, and becomes the program."""
    parent_pid, *command = sys.argv[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # Counts from the thread that started us: the gateway starts Triton from its main thread.
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != int(parent_pid):
        sys.exit("the process that started Triton is gone")
    # Triton's shared memory holds photos; with the usual umask every user could read it.
    os.umask(0o077)
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main()
