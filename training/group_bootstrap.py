"""Intervals that respect groups: photos of one specimen share its luck, so whole specimens are drawn again.

Cluster bootstrap: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

DRAWS = 500


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: On the photos as they are; NaN where it is not defined.
        low: Lower end; NaN where no draw of groups defines the figure.
        high: Upper end; as `low`.
    """

    value: float
    low: float
    high: float


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def group_indices(names: Sequence[str]) -> IndexArray:
    """Returns [item_count] int64 in [0, group_count): the same number for the same name."""
    indices: IndexArray = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)
    return indices


def group_draws(group_count: int, *, seed: int = 0, draws: int = DRAWS) -> Iterator[IndexArray]:
    """Yields, for each draw, [group_count] int64: how often each group was drawn; they sum to `group_count`."""
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(generator.integers(group_count, size=group_count), minlength=group_count)


def estimate(
    metric: Callable[[FloatArray], float], groups: IndexArray, *, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Returns a figure with the percentile interval of the bootstrap over groups.

    Args:
        metric: Takes [item_count] float64 weights of the items, all 1 for the figure itself; NaN where undefined.
        groups: [item_count] int64 in [0, group_count).
        seed: Makes the interval repeatable.
        draws: How often groups are drawn again.
    """
    value = metric(np.ones(len(groups)))
    if not math.isfinite(value):
        return UNDEFINED
    drawn = np.array(
        [metric(counts[groups].astype(np.float64)) for counts in group_draws(groups.max() + 1, seed=seed, draws=draws)]
    )
    told = drawn[np.isfinite(drawn)]
    if len(told) == 0:
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(told, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def auroc(
    scores: npt.NDArray[np.floating[Any]], positive: npt.NDArray[np.bool_], groups: IndexArray, *, draws: int = DRAWS
) -> Estimate:
    """Returns the chance that a positive item scores above a negative one, a tie counting half.

    scikit-learn has the figure but not its interval by group; sorting once makes a draw cheap.

    Args:
        scores: [item_count] floating.
        positive: [item_count] bool.
        groups: [item_count] int64 in [0, group_count).
        draws: How often groups are drawn again.

    Returns:
        In [0, 1]; undefined unless both kinds of items are there.
    """
    order = np.argsort(scores, kind="stable")
    ordered, is_positive = scores[order], positive[order].astype(np.float64)
    first_of_tie = np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)

    def weighted(weights: FloatArray) -> float:
        mass = weights[order]
        positives = np.add.reduceat(mass * is_positive, first_of_tie)
        negatives = np.add.reduceat(mass * (1 - is_positive), first_of_tie)
        pairs = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives / 2
        return float((positives * below).sum() / pairs) if pairs > 0 else math.nan

    return estimate(weighted, groups, draws=draws)
