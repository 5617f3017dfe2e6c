"""Fits the maps of one score: logistic ones by Newton's method, isotonic ones by pooling neighbours."""

import math

import numpy as np

from server.domain.calibration.binary_maps import LARGEST_PARAMETER, Beta, BinaryIdentity, CentredIsotonic, Platt
from server.domain.calibration.fit_items import BoolArray
from server.domain.calibration.newton import minimise
from server.domain.calibration.probability import DoubleArray, sigmoid

LogisticMap = Platt | Beta


def fit_platt(scores: DoubleArray, hits: BoolArray) -> Platt:
    """Fits a logistic map on Platt's smoothed targets, so that separable labels give a finite slope.

    Args:
        scores: [item_count] float64, finite; at least one.
        hits: [item_count] bool. Whether each was so.
    """
    targets, prior = _smoothed_targets(hits)
    (slope,), intercept = _fit_logistic(scores[:, None], targets, prior)
    return Platt(slope, intercept, _margin(len(scores)))


def fit_beta(scores: DoubleArray, hits: BoolArray) -> Beta:
    """Fits a beta map on Platt's smoothed targets.

    Args:
        scores: [item_count] float64, finite; at least one.
        hits: [item_count] bool. Whether each was so.
    """
    targets, prior = _smoothed_targets(hits)
    features = np.stack([-np.logaddexp(0.0, -scores), np.logaddexp(0.0, scores)], axis=1)
    (rise, fall), intercept = _fit_logistic(features, targets, prior)
    return Beta(rise, fall, intercept, _margin(len(scores)))


def shrunk(fitted: LogisticMap, scores: DoubleArray, hits: BoolArray, *, independent_share: float) -> LogisticMap:
    """Moves a map towards the engine's own probabilities, by what chance alone gains with as many parameters.

    What is kept is `1 - d / chi_squared`, at least 0: `chi_squared` is twice the gain in log-likelihood over the
    engine's probabilities, and chance alone brings `d`, the number of parameters, on average. So a map is as near to
    none as the labels leave open, and nothing is chosen between the two. The heuristic shrinkage factor of van
    Houwelingen and le Cessie, "Predictive value of statistical models", 1990.

    Args:
        fitted: To these items.
        scores: [item_count] float64, finite; at least one.
        hits: [item_count] bool. Whether each was so.
        independent_share: How many independent labels there are an item, in (0, 1].
    """
    own, mapped = (
        np.log(np.where(hits, probabilities, 1.0 - probabilities))
        for probabilities in (BinaryIdentity().calibrate(scores), fitted.calibrate(scores))
    )
    chi_squared = 2.0 * independent_share * float((mapped - own).sum())
    parameter_count = 2 if isinstance(fitted, Platt) else 3
    kept = 1.0 - parameter_count / chi_squared if chi_squared > parameter_count else 0.0
    if isinstance(fitted, Platt):
        return Platt(1.0 + kept * (fitted.slope - 1.0), kept * fitted.intercept, fitted.margin)
    rise, fall = (1.0 + kept * (each - 1.0) for each in (fitted.rise, fitted.fall))
    return Beta(rise, fall, kept * fitted.intercept, fitted.margin)


def fit_centred_isotonic(scores: DoubleArray, hits: BoolArray) -> CentredIsotonic:
    """Fits by pooling adjacent violators; each pooled block becomes one point, at its mean score and share of hits.

    Args:
        scores: [item_count] float64, finite; at least one.
        hits: [item_count] bool. Whether each was so.
    """
    distinct, places = np.unique(scores, return_inverse=True)
    counts = np.bincount(places).astype(np.float64)
    blocks = _pool(counts, np.bincount(places, weights=hits).astype(np.float64))
    ends = np.cumsum([width for width, _ in blocks])
    starts = ends - [width for width, _ in blocks]
    weight = np.add.reduceat(counts, starts)
    # Rounding must not carry a centre out of its own block.
    centres = np.clip(np.add.reduceat(counts * distinct, starts) / weight, distinct[starts], distinct[ends - 1])
    margin = _margin(len(scores))
    shares = np.clip([share for _, share in blocks], margin, 1.0 - margin)
    return CentredIsotonic(tuple(centres.tolist()), tuple(shares.tolist()))


def _pool(counts: DoubleArray, hits: DoubleArray) -> list[tuple[int, float]]:
    """Returns the isotonic blocks by rising score: how many distinct scores each holds, and its share of hits."""
    blocks: list[tuple[int, float, float]] = []
    for count, hit in zip(counts.tolist(), hits.tolist(), strict=True):
        width, total, found = 1, count, hit
        while blocks and blocks[-1][2] * total >= found * blocks[-1][1]:
            earlier = blocks.pop()
            width, total, found = width + earlier[0], total + earlier[1], found + earlier[2]
        blocks.append((width, total, found))
    return [(width, found / total) for width, total, found in blocks]


def _margin(item_count: int) -> float:
    """How near to 0 and 1 so many labels can tell a share to be."""
    return 1.0 / (item_count + 2)


def _smoothed_targets(hits: BoolArray) -> tuple[DoubleArray, float]:
    """Returns Platt's targets [item_count] and the log-odds of a hit, smoothed alike."""
    positives, negatives = int(hits.sum()), int((~hits).sum())
    targets = np.where(hits, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return targets, math.log((positives + 1) / (negatives + 1))


def _fit_logistic(features: DoubleArray, targets: DoubleArray, prior: float) -> tuple[tuple[float, ...], float]:
    """Returns slopes, none below 0, and the intercept that minimise the log-loss.

    Args:
        features: [item_count, feature_count] float64; one or two features.
        targets: [item_count] float64 in (0, 1).
        prior: The intercept if no feature says anything.
    """
    count = features.shape[1]
    everything = tuple(range(count))
    slopes, intercept = _fit_free(features, targets, prior)
    if min(slopes) >= 0:
        return slopes, intercept
    # Convex: with two features, a minimum within the bounds has one of them at 0, or both.
    best: tuple[float, tuple[float, ...], float] = (math.inf, (0.0,) * count, prior)
    for kept in everything if count > 1 else ():
        (slope,), shift = _fit_free(features[:, [kept]], targets, prior)
        loss = _log_loss(features[:, kept] * slope + shift, targets)
        if slope >= 0 and loss < best[0]:
            best = (loss, tuple(slope if each == kept else 0.0 for each in everything), shift)
    return best[1], best[2]


def _fit_free(features: DoubleArray, targets: DoubleArray, prior: float) -> tuple[tuple[float, ...], float]:
    """Returns slopes of any sign and the intercept that minimise the log-loss."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    design = np.column_stack([(features - centre) / spread, np.ones(len(features))])

    def curve(weights: DoubleArray) -> tuple[float, DoubleArray, DoubleArray]:
        scores = design @ weights
        probabilities = sigmoid(scores)
        gradient = design.T @ (probabilities - targets) / len(targets)
        hessian = (design * (probabilities * (1 - probabilities))[:, None]).T @ design / len(targets)
        return _log_loss(scores, targets), gradient, hessian

    weights = minimise(curve, np.array([0.0] * features.shape[1] + [prior]))
    slopes = np.clip(weights[:-1] / spread, -LARGEST_PARAMETER, LARGEST_PARAMETER)
    intercept = float(np.clip(weights[-1] - slopes @ centre, -LARGEST_PARAMETER, LARGEST_PARAMETER))
    return tuple(slopes.tolist()), intercept


def _log_loss(scores: DoubleArray, targets: DoubleArray) -> float:
    return float(np.mean(np.logaddexp(0.0, scores) - targets * scores))
