"""When to try a failed call again: pure decisions; whoever asks does the waiting."""

from dataclasses import dataclass

from loupe.errors import LoupeError, OverloadedError, UnavailableError

_MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential backoff with full jitter, always within the caller's deadline.

    Attributes:
        max_attempts: The first one included, at least 1; 1 never retries.
        first_delay_s: The longest delay before the second attempt, doubled with each further one.
        longest_delay_s: The limit of the delay.
        retry_overload: Whether to come back to a server that sheds load, when it says so. Off by
            default: a server that sheds is not helped by callers that insist.
    """

    max_attempts: int = 5
    first_delay_s: float = 0.1
    longest_delay_s: float = 2.0
    retry_overload: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if self.max_attempts < 1 or not 0 <= self.first_delay_s <= self.longest_delay_s:
            raise ValueError(f"retries need max_attempts >= 1 and 0 <= first_delay_s <= longest_delay_s, got {self}")

    def delay_s(self, error: LoupeError, *, attempt: int, remaining_s: float, draw: float) -> float | None:
        """Returns how long to wait before the next attempt, or None to give up.

        Args:
            error: What the last attempt failed with.
            attempt: The number of attempts made, from 1.
            remaining_s: The time left until the caller's deadline.
            draw: A random number in [0, 1).
        """
        overloaded = isinstance(error, OverloadedError) and error.retry_after_s is not None and self.retry_overload
        if attempt >= self.max_attempts or not (overloaded or isinstance(error, UnavailableError)):
            return None
        backoff_s = min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
        delay_s = (error.retry_after_s or 0.0) + draw * backoff_s
        return delay_s if delay_s < remaining_s else None
