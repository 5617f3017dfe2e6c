"""Who watches inspections: told of every one that has ended, and never allowed to hold one up."""

from dataclasses import dataclass
from typing import Protocol

from server.service.inspection import Inspection


@dataclass(frozen=True, slots=True)
class TierLoad:
    """How busy one tier is at this moment.

    Attributes:
        model: The Triton model's name.
        tier: The tier's id.
        in_flight: Requests that run.
        waiting: Requests that wait.
        is_given_up: Whether nobody is sent there for now, because it has failed or dawdled.
    """

    model: str
    tier: str
    in_flight: int
    waiting: int
    is_given_up: bool


class Observer(Protocol):
    """Watches inspections."""

    def answered(self, inspection: Inspection) -> None:
        """A request was answered."""
        ...

    def failed(self, task: str, error: BaseException, duration_s: float) -> None:
        """A request was not answered.

        Args:
            task: What the caller named, which may be anything.
            error: Why; a CancelledError if the caller went away.
            duration_s: From its arrival.
        """
        ...


class Unobserved:
    """Watches nothing."""

    def answered(self, inspection: Inspection) -> None:
        """Ignores it."""

    def failed(self, task: str, error: BaseException, duration_s: float) -> None:
        """Ignores it."""
