"""How long to wait before trying again: not at all at first, then longer and longer, up to a limit. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Counts recent attempts; each kind of attempt has its own.

    Attributes:
        free_attempts: Attempts within the window that need not wait.
        first_delay_s: The delay of the first attempt that has to, doubled with each further one.
        longest_delay_s: The limit of the delay.
        window_s: How long an attempt counts as recent.
    """

    free_attempts: int
    first_delay_s: float
    longest_delay_s: float
    window_s: float = 60.0
    _attempts: list[float] = field(default_factory=list)

    def delay_s(self, now_s: float) -> float:
        """Counts an attempt that is about to be made and returns how long it has to wait.

        Args:
            now_s: The time on a clock that never falls.
        """
        self._attempts = [each for each in self._attempts if now_s - each < self.window_s]
        surplus = len(self._attempts) - self.free_attempts
        self._attempts.append(now_s)
        if surplus < 0:
            return 0.0
        return float(min(self.longest_delay_s, self.first_delay_s * 2**surplus))
