"""The breaker of one tier: after some failures in a row nobody is sent there, but for one scout at a time."""

from dataclasses import dataclass

from server.domain.ports import Clock


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a tier is given up, and for how long.

    Attributes:
        failures: Failures in a row that open the breaker, at least 1.
        first_pause_s: How long it then stays open, above 0; each scout that fails doubles it.
        longest_pause_s: At most so long, at least `first_pause_s`.
    """

    failures: int = 3
    first_pause_s: float = 1.0
    longest_pause_s: float = 4.0

    def __post_init__(self) -> None:
        """Raises ValueError for limits out of range."""
        if self.failures < 1 or not 0 < self.first_pause_s <= self.longest_pause_s:
            raise ValueError(f"a breaker needs failures >= 1 and 0 < first_pause_s <= longest_pause_s, got {self}")


class Breaker:
    """Whoever is let in gets a ticket and reports back with it: `succeed`, `fail`, or `abandon` if nothing was learnt.

    Tickets from before the breaker opened, or before the last scout went in, are out of date: what their holders saw
    is no news.
    """

    def __init__(self, limits: BreakerLimits, clock: Clock) -> None:
        """Begins closed: everybody may pass."""
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._pause_s = limits.first_pause_s
        self._open_until_s: float | None = None
        self._scouting = False
        self._ticket = 1

    @property
    def is_open(self) -> bool:
        """Whether the tier is given up for now."""
        return self._open_until_s is not None

    def let_in(self) -> int | None:
        """Returns a ticket, or None if nobody may pass now; when the pause is over, one scout at a time may."""
        if self._open_until_s is not None:
            if self._scouting or self._clock.monotonic_s() < self._open_until_s:
                return None
            self._scouting = True
            self._ticket += 1
        return self._ticket

    def succeed(self, ticket: int) -> None:
        """Somebody came through: everybody may pass again."""
        if ticket != self._ticket:
            return
        self._failures = 0
        self._pause_s = self._limits.first_pause_s
        self._open_until_s = None
        self._scouting = False

    def fail(self, ticket: int) -> None:
        """Somebody did not come through."""
        if ticket != self._ticket:
            return
        self._failures += 1
        if self._open_until_s is not None:
            self._pause_s = min(2 * self._pause_s, self._limits.longest_pause_s)
        elif self._failures < self._limits.failures:
            return
        self._open_until_s = self._clock.monotonic_s() + self._pause_s
        self._scouting = False
        self._ticket += 1

    def abandon(self, ticket: int) -> None:
        """Somebody turned back: nothing is known."""
        if ticket == self._ticket:
            self._scouting = False
