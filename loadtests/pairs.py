"""Interleaved pairs: two things measured in turn in one run, so that a drifting machine drifts under both."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Measured = TypeVar("Measured")

_RESAMPLES = 10_000
_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class Estimate:
    """The median over pairs with its 95 % bootstrap interval."""

    median: float
    lower: float
    upper: float

    def __str__(self) -> str:
        """As `0.93 [0.91, 0.95]`."""
        return f"{self.median:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Returns the median of one value a pair, and where it lies in 95 % of resamples.

    Args:
        values: One ratio or difference a pair; at least one.
    """
    drawn = np.random.default_rng(_SEED).choice(np.asarray(values, dtype=np.float64), (_RESAMPLES, len(values)))
    lower, upper = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Estimate(float(np.median(values)), float(lower), float(upper))


async def interleave(
    one: Callable[[int], Awaitable[Measured]], other: Callable[[int], Awaitable[Measured]], *, pairs: int
) -> list[tuple[Measured, Measured]]:
    """Measures two things in turn; every second pair the other way round.

    Args:
        one: Measures the first, given the pair's number from 0.
        other: Measures the second.
        pairs: How often, at least once.
    """
    measured = []
    for pair in range(pairs):
        if pair % 2 == 0:
            first = await one(pair)
            measured.append((first, await other(pair)))
        else:
            second = await other(pair)
            measured.append((await one(pair), second))
    return measured
