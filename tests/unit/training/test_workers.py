"""Processes that work for another one end with it."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.workers import worker_pool

PROGRAM = """
import sys
import time

from training.workers import worker_pool
if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(__import__("os").getpid).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""


def test_a_pool_works() -> None:
    """What is asked of it is done in another process."""
    with worker_pool(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_whom_they_work_for(how: signal.Signals, tmp_path: Path, repository_root: Path) -> None:
    """However their parent is ended, nothing of it goes on."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository_root)},
    )
    assert parent.stdout is not None
    # The file of a process can be read once it has ended.
    worker = os.pidfd_open(int(parent.stdout.readline()))
    assert select.select([worker], [], [], 0) == ([], [], [])
    parent.send_signal(how)
    parent.wait(10)
    assert select.select([worker], [], [], 10) == ([worker], [], [])
    os.close(worker)
