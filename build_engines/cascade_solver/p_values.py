"""P-values for "the mean loss is above its limit": small ones speak for the promise. All hold in finite samples.

Which one to take. Items are independent and the loss is 0 or 1: `binomial`. It is the paired difference of two
answers, -1, 0 or 1: `paired`. Items come in groups that depend on each other, so that a group's mean can be any number
in a range: `betting`, or `hoeffding_bentkus` where the order of the groups must not matter at all.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special, stats

DoubleArray = npt.NDArray[np.float64]

_NUISANCE_DOUBT = 1e-3
"""The chance left to the event that the share of differing pairs lies above its bound; part of the p-value."""
_TAIL_DOUBT = 1e-6
_NUISANCE_STEPS = 48
_REFINEMENTS = 3


def binomial(losses: int, count: int, *, limit: float) -> float:
    """Returns the exact p-value for losses of 0 or 1.

    Args:
        losses: The items with loss 1, in 0..count.
        count: The items, at least 0.
        limit: The largest mean loss that is allowed, in (0, 1).

    Returns:
        The chance of at most `losses` losses if the mean is just above the limit, in (0, 1]; 1 without items.

    Raises:
        ValueError: A number is out of range.
    """
    _check_limit(limit, 0.0, 1.0)
    if not 0 <= losses <= count:
        raise ValueError(f"{losses} losses of {count} items are impossible")
    return float(special.bdtr(losses, count, limit)) if losses < count else 1.0


def paired(worse: int, better: int, count: int, *, limit: float) -> float:
    """Returns an exact p-value for the paired difference of two answers.

    The hypothesis is "share of worse - share of better > limit". Outcomes are ordered by the score statistic of Nam
    ("Establishing equivalence of two treatments and sample size requirements in matched-pairs design", 1997), and the
    chance of an outcome as good as the one seen is maximised over the unknown share of pairs that differ, inside its
    upper confidence bound (Berger and Boos, "P values maximized over a confidence set for the nuisance parameter",
    1994). The order is made monotone, so that the maximum lies where the difference equals the limit.

    Args:
        worse: Items that only the stronger answer has right (+1), at least 0.
        better: Items that only the cheaper answer has right (-1), at least 0.
        count: All items, at least `worse + better`.
        limit: The largest difference that is allowed, in (0, 1).

    Returns:
        In (0, 1]; 1 without items, and where the difference seen is not below the limit.

    Raises:
        ValueError: A number is out of range.
    """
    _check_limit(limit, 0.0, 1.0)
    if min(worse, better) < 0 or worse + better > count:
        raise ValueError(f"{worse} worse and {better} better of {count} items are impossible")
    if worse - better >= limit * count:
        return 1.0
    differing = worse + better
    bound = float(special.betaincinv(differing + 1, max(count - differing, 1e-9), 1.0 - _NUISANCE_DOUBT))
    low, high = limit, max(limit, bound if differing < count else 1.0)
    boundary = _rejection_boundary(worse, better, count, limit=limit, most_differing=high)
    highest = 0.0
    for _ in range(_REFINEMENTS):
        shares = np.linspace(low, high, _NUISANCE_STEPS)
        chances = _rejection_chances(boundary, shares, count, limit=limit)
        peak = int(chances.argmax())
        highest = max(highest, float(chances[peak]))
        low, high = float(shares[max(peak - 1, 0)]), float(shares[min(peak + 1, len(shares) - 1)])
    return min(1.0, highest + _NUISANCE_DOUBT + _TAIL_DOUBT)


def hoeffding_bentkus(mean_loss: float, count: int, *, limit: float) -> float:
    """Returns the p-value of Hoeffding's and Bentkus's inequalities for losses in [0, 1].

    Bates et al., "Distribution-free, risk-controlling prediction sets", 2021.

    Args:
        mean_loss: In [0, 1].
        count: The independent items, at least 0.
        limit: The largest mean loss that is allowed, in (0, 1).

    Returns:
        In [0, 1]; 1 without items.

    Raises:
        ValueError: A number is out of range.
    """
    _check_limit(limit, 0.0, 1.0)
    if not 0.0 <= mean_loss <= 1.0 or count < 0:
        raise ValueError(f"a mean loss of {mean_loss} over {count} items is impossible")
    if count == 0 or mean_loss >= limit:
        return 1.0
    divergence = float(special.rel_entr(mean_loss, limit) + special.rel_entr(1.0 - mean_loss, 1.0 - limit))
    # Rounded first: a sum of floats a hair above a whole number is that number.
    bentkus = math.e * float(special.bdtr(math.ceil(round(mean_loss * count, 9)), count, limit))
    return min(1.0, math.exp(-count * divergence), bentkus)


def betting(losses: DoubleArray, *, limit: float, delta: float, low: float = 0.0, high: float = 1.0) -> float:
    """Returns the p-value of a gambler who bets, item after item, that the mean loss is below the limit.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024: each stake is set by the
    items before it, so the capital is a non-negative supermartingale if the promise is broken, and its inverse a
    p-value (Ville).

    Args:
        losses: [count] float64 in [low, high]. In an order that does not depend on them.
        limit: The largest mean loss that is allowed, in (low, high).
        delta: The level that the stakes are tuned for, in (0, 1); the p-value holds at every level.
        low: The smallest loss that can occur.
        high: The largest loss that can occur.

    Returns:
        In (0, 1]; 1 without items.

    Raises:
        ValueError: A number is out of range.
    """
    _check_limit(limit, low, high)
    if losses.size and not (losses.min() >= low and losses.max() <= high):
        raise ValueError(f"a loss lies outside [{low}, {high}]")
    scaled = (losses - low) / (high - low)
    target = (limit - low) / (high - low)
    before = np.arange(1, len(scaled) + 1)
    means = (0.5 + np.cumsum(scaled)) / (before + 1)
    variances = (0.25 + np.cumsum((scaled - means) ** 2)) / (before + 1)
    known = np.concatenate([[0.25], variances[:-1]]) if len(scaled) else variances
    stakes = np.sqrt(2.0 * math.log(1.0 / delta) / (max(len(scaled), 1) * known))
    capital = np.cumsum(np.log1p(np.minimum(stakes, 0.75 / (1.0 - target)) * (target - scaled)))
    return min(1.0, math.exp(-float(capital.max(initial=0.0))))


def _check_limit(limit: float, low: float, high: float) -> None:
    if not low < limit < high:
        raise ValueError(f"the limit {limit} is not between {low} and {high}")


def _score(worse: DoubleArray, better: DoubleArray, count: int, limit: float) -> DoubleArray:
    """Returns Nam's statistic: below 0 where the difference seen is below the limit.

    Args:
        worse: [...] float64. Counts.
        better: [...] float64. Counts, broadcast against `worse`.
        count: All items.
        limit: The difference under the hypothesis.
    """
    slope = (worse + better) * (1.0 - limit) - 2.0 * limit * (count - worse)
    root = np.sqrt(slope**2 + 8.0 * count * better * limit * (1.0 - limit))
    better_share = (slope + root) / (4.0 * count)
    deviation = np.sqrt(count * np.maximum(2.0 * better_share + limit - limit**2, 1e-300))
    score: DoubleArray = (worse - better - count * limit) / deviation
    return score


def _rejection_boundary(
    worse: int, better: int, count: int, *, limit: float, most_differing: float
) -> npt.NDArray[np.int64]:
    """Returns, by the count of better items, the most worse items that speak as strongly for the promise; -1 for none.

    Counts of better items that are too many to occur are left out; `_TAIL_DOUBT` stands for them.
    """
    most_better = int(stats.binom.isf(_TAIL_DOUBT, count, 0.5 * (most_differing - limit)))
    most_better = min(count, max(most_better, better))
    betters = np.arange(most_better + 1, dtype=np.float64)[:, None]
    # Beyond this many worse items the difference seen is not below the limit.
    worses = np.arange(min(count, most_better + math.ceil(count * limit)) + 1, dtype=np.float64)[None, :]
    seen = float(_score(np.float64(worse), np.float64(better), count, limit))  # type: ignore[arg-type]
    inside = (_score(worses, betters, count, limit) <= seen + 1e-9) & (worses + betters <= count)
    last = np.where(inside.any(axis=1), worses.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), -1)
    boundary: npt.NDArray[np.int64] = np.maximum.accumulate(last)
    return boundary


def _rejection_chances(
    boundary: npt.NDArray[np.int64], differing_shares: DoubleArray, count: int, *, limit: float
) -> DoubleArray:
    """Returns the chance to fall within the boundary where the difference is the limit, by share of differing pairs."""
    betters = np.arange(len(boundary))[None, :]
    better_share = (0.5 * (differing_shares - limit))[:, None]
    worse_share = better_share + limit
    chance_of_better = np.exp(
        special.gammaln(count + 1)
        - special.gammaln(betters + 1)
        - special.gammaln(count - betters + 1)
        + special.xlogy(betters, better_share)
        + special.xlog1py(count - betters, -better_share)
    )
    allowed = boundary[None, :]
    among_rest = np.minimum(worse_share / (1.0 - better_share), 1.0)
    chance_of_worse = np.where(
        allowed >= count - betters,
        1.0,
        special.bdtr(np.maximum(allowed, 0).astype(np.float64), count - betters, among_rest),
    )
    chances: DoubleArray = (chance_of_better * np.where(allowed < 0, 0.0, chance_of_worse)).sum(axis=1)
    return chances
