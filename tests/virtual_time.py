"""An event loop whose time jumps: what waits for minutes is over at once, and every run is the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualClock:
    """Tells the time of the running loop."""

    def monotonic_s(self) -> float:
        """The loop's own time."""
        return asyncio.get_running_loop().time()

    def utc_s(self) -> float:
        """The same, behind some epoch."""
        return 1_700_000_000.0 + self.monotonic_s()


def run_in_virtual_time(main: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine that waits for nothing but timers and other coroutines."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Whenever all would wait, the time of the next timer has come."""

    def __init__(self) -> None:
        self._jumps = _JumpingSelector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return self._jumps.now_s


class _JumpingSelector(selectors.SelectSelector):
    """Waits for no file: lets the time pass instead."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self.now_s += timeout
        return super().select(0)
