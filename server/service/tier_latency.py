"""How long one tier takes these days: the runs of the last minute, and no older ones."""

from collections import deque

from server.domain.ports import Clock

_REMEMBERED_RUNS = 128
_REMEMBERED_S = 60.0
_FEWEST_RUNS = 8


class TierLatency:
    """Durations of runs that ended well."""

    def __init__(self, clock: Clock) -> None:
        """Knows nothing yet."""
        self._clock = clock
        self._runs: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_RUNS)
        self._usual_s: float | None = None

    def record(self, run_s: float) -> None:
        """Remembers a run that has just ended."""
        self._runs.append((self._clock.monotonic_s(), run_s))

    def quantile_s(self, share: float) -> float | None:
        """Returns the duration that a share of the recent runs stayed within; None if they are too few to say.

        Args:
            share: In (0, 1).
        """
        oldest_s = self._clock.monotonic_s() - _REMEMBERED_S
        while self._runs and self._runs[0][0] < oldest_s:
            self._runs.popleft()
        if len(self._runs) < _FEWEST_RUNS:
            return None
        durations = sorted(run_s for _, run_s in self._runs)
        return durations[min(int(share * len(durations)), len(durations) - 1)]

    def usual_s(self) -> float | None:
        """Returns the median of the recent runs; while these are too few, the last one that was known.

        A tier that is given up has no recent runs, and would else pass for well once they are forgotten.
        """
        recent_s = self.quantile_s(0.5)
        if recent_s is not None:
            self._usual_s = recent_s
        return self._usual_s
