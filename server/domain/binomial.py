"""Exact bounds of a binomial share, and the quantiles of the beta distribution that they are.

Plain numpy: the regularised incomplete beta function by its continued fraction, inverted by a guarded Newton iteration.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.int64]

_LEAST_TERMS = 30
_TERMS_PER_ROOT = 1
_CONVERGED = 1e-13
_MAX_STEPS = 60


def clopper_pearson_high(hits: CountArray, counts: CountArray, *, error: float) -> DoubleArray:
    """Returns [bound_count] float64 in (0, 1]: shares that the true one exceeds with chance `error` at most.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934;
    one-sided. 1 where all were hits.

    Args:
        hits: [bound_count] int64 in [0, counts].
        counts: [bound_count] int64, at least 1.
        error: The chance of each bound alone, in (0, 1).
    """
    bounds = np.ones(len(hits))
    inside = hits < counts
    if inside.any():
        bounds[inside] = beta_quantile(hits[inside] + 1.0, (counts - hits)[inside].astype(np.float64), 1.0 - error)
    return bounds


def clopper_pearson_low(hits: CountArray, counts: CountArray, *, error: float) -> DoubleArray:
    """Returns the mirror image of `clopper_pearson_high`: shares that the true one undercuts with chance `error`."""
    lows: DoubleArray = 1.0 - clopper_pearson_high(counts - hits, counts, error=error)
    return lows


def wilson_high(shares: DoubleArray, counts: CountArray, *, error: float) -> DoubleArray:
    """Returns a cheap approximation of `clopper_pearson_high` for shares in [0, 1], which need not be whole hits.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927; corrected by half a hit.
    """
    score = NormalDist().inv_cdf(1.0 - error)
    corrected = np.minimum(1.0, shares + 0.5 / counts)
    weight = score * score / counts
    reach = score * np.sqrt(corrected * (1.0 - corrected) / counts + 0.25 * weight / counts)
    highs: DoubleArray = (corrected + 0.5 * weight + reach) / (1.0 + weight)
    return highs


def beta_quantile(first: DoubleArray, second: DoubleArray, level: float) -> DoubleArray:
    """Returns [count] float64 in (0, 1): where beta distributions reach a level; exact to 1e-12 or better.

    Args:
        first: [count] float64. First shape parameter, at least 1.
        second: [count] float64. Second shape parameter, at least 1.
        level: In (0, 1).
    """
    scale = _log_beta(first, second)
    low, high = np.zeros(len(first)), np.ones(len(first))
    values = _first_guess(first, second, level)
    for _ in range(_MAX_STEPS):
        excess = _incomplete_beta(first, second, values, scale) - level
        high = np.where(excess > 0, values, high)
        low = np.where(excess > 0, low, values)
        density = np.exp((first - 1) * np.log(values) + (second - 1) * np.log1p(-values) - scale)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # Halley's step; where it leaves the bracket, or is no number, the bracket is halved.
            newton = excess / density
            bend = 0.5 * newton * ((first - 1) / values - (second - 1) / (1 - values))
            following = values - newton / (1.0 - np.clip(bend, -1.0, 0.5))
        following = np.where((following >= low) & (following <= high), following, 0.5 * (low + high))
        moved = np.abs(following - values)
        values = following
        if bool((moved <= _CONVERGED * values).all()):
            break
    return values


def _first_guess(first: DoubleArray, second: DoubleArray, level: float) -> DoubleArray:
    """Returns Wilson's approximation of the quantile, kept inside (0, 1)."""
    score = NormalDist().inv_cdf(level)
    total = first + second - 1.0
    share = (first - 0.5) / total
    weight = score * score / total
    reach = score * np.sqrt(share * (1.0 - share) / total + 0.25 * weight / total)
    guess: DoubleArray = np.clip((share + 0.5 * weight + reach) / (1.0 + weight), 1e-12, 1.0 - 1e-12)
    return guess


def _log_beta(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    return np.array(
        [math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b) for a, b in zip(first, second, strict=True)],
        dtype=np.float64,
    )


def _incomplete_beta(first: DoubleArray, second: DoubleArray, values: DoubleArray, scale: DoubleArray) -> DoubleArray:
    """Returns the regularised incomplete beta function, through whichever tail converges quickly."""
    mirrored = values > (first + 1.0) / (first + second + 2.0)
    a, b = np.where(mirrored, second, first), np.where(mirrored, first, second)
    x = np.where(mirrored, 1.0 - values, values)
    front = np.exp(a * np.log(x) + b * np.log1p(-x) - scale) / a
    tails = front * _beta_fraction(a, b, x)
    shares: DoubleArray = np.where(mirrored, 1.0 - tails, tails)
    return shares


def _beta_fraction(a: DoubleArray, b: DoubleArray, x: DoubleArray) -> DoubleArray:
    """Returns the continued fraction of the incomplete beta function, summed from its far end."""
    # It converges within about a root of the larger shape parameter.
    term_count = _LEAST_TERMS + _TERMS_PER_ROOT * math.isqrt(int(max(a.max(), b.max())))
    terms = np.arange(1, term_count + 1)[:, None]
    places = a + 2.0 * terms
    even = terms * (b - terms) * x / ((places - 1.0) * places)
    odd = -(a + terms) * (a + b + terms) * x / (places * (places + 1.0))
    total = np.ones_like(x)
    for even_factor, odd_factor in zip(even[::-1], odd[::-1], strict=True):
        total = 1.0 + even_factor / (1.0 + odd_factor / total)
    fraction: DoubleArray = 1.0 / (1.0 - (a + b) * x / (a + 1.0) / total)
    return fraction
