"""Deadlines: every request has one; who names none gets a default, and a long one is capped."""

from dataclasses import dataclass

from server.domain.ports import Clock


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which a caller stops waiting.

    Attributes:
        at_s: On the clock's monotonic scale.
        clock: What time it is now.
    """

    at_s: float
    clock: Clock

    def remaining_s(self) -> float:
        """Returns the time left; 0 or less when it is over."""
        return self.at_s - self.clock.monotonic_s()


@dataclass(frozen=True, slots=True)
class DeadlinePolicy:
    """What deadlines requests get.

    Attributes:
        default_s: For requests that name none, above 0.
        longest_s: For requests that name a later one, at least `default_s`.
    """

    default_s: float = 10.0
    longest_s: float = 60.0

    def __post_init__(self) -> None:
        """Raises ValueError for times that are out of order."""
        if not 0 < self.default_s <= self.longest_s:
            raise ValueError(f"deadlines must be 0 < default <= longest, got {self}")

    def begin(self, wanted_s: float | None, clock: Clock) -> Deadline:
        """Returns the deadline of a request that arrives now.

        Args:
            wanted_s: The time that the caller allows, or None if it names none.
            clock: What time it is now.
        """
        allowed_s = self.default_s if wanted_s is None else min(wanted_s, self.longest_s)
        return Deadline(clock.monotonic_s() + allowed_s, clock)
