"""Fusing tiers: one posterior over all tiers that have answered so far, for a task that chooses it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from build_engines.cascade_solver.evidence import CascadeEvidenceError

DoubleArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TierFusion:
    """How much each tier's word counts at each tier, for one category head.

    The posterior at a tier is the normalised product of the calibrated probabilities of all tiers so far, each raised
    to its weight (Genest and Zidek, "Combining probability distributions: a critique and an annotated bibliography",
    1986, call it the logarithmic opinion pool). One weight of 1 and no other is the tier alone.

    Attributes:
        weights: [tier][tier so far], at least 0; one more at each tier.
    """

    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Raises ValueError for weights that are negative, not finite or not one more at each tier."""
        for count, each in enumerate(self.weights, start=1):
            if len(each) != count or not all(np.isfinite(weight) and weight >= 0 for weight in each):
                raise ValueError(f"weights {each} are not {count} numbers of at least 0")

    def fuse(self, probabilities: DoubleArray) -> DoubleArray:
        """Returns the posterior at each tier.

        Args:
            probabilities: [tier_count, item_count, label_count] float64 in (0, 1). Calibrated, of each tier alone.

        Returns:
            [tier_count, item_count, label_count] float64 in [0, 1], summing to 1 along the last axis.
        """
        pooled = [pool_tiers(each, probabilities[: len(each)]) for each in self.weights]
        return np.asarray(special.softmax(np.array(pooled), axis=-1), dtype=np.float64)


def pool_tiers(weights: Sequence[float], probabilities: DoubleArray) -> DoubleArray:
    """Returns [item_count, label_count] float64: the weighted sums of log-probabilities.

    Args:
        weights: One a tier so far.
        probabilities: [tier_count, item_count, label_count] float64 in (0, 1).
    """
    return np.asarray(np.tensordot(weights, np.log(probabilities), axes=1), dtype=np.float64)


def fit_tier_fusion(probabilities: DoubleArray, labels: IndexArray) -> TierFusion:
    """Fits the weights that minimise the log-loss at each tier: a convex problem with as many unknowns as tiers so far.

    Args:
        probabilities: [tier_count, item_count, label_count] float64 in (0, 1). Calibrated, of each tier alone.
        labels: [item_count] int64. The true labels. Of the *fit* part.

    Raises:
        CascadeEvidenceError: Shapes do not match, no item is there, or a probability is not in (0, 1).
    """
    if probabilities.ndim != 3 or labels.shape != probabilities.shape[1:2] or not len(labels):  # noqa: PLR2004
        raise CascadeEvidenceError(f"probabilities {probabilities.shape} do not match labels {labels.shape}")
    if not ((probabilities > 0) & (probabilities < 1)).all():
        raise CascadeEvidenceError("a probability is not between 0 and 1")
    logarithms = np.log(probabilities)
    return TierFusion(tuple(_fit_weights(logarithms[: last + 1], labels) for last in range(len(logarithms))))


def _fit_weights(logarithms: DoubleArray, labels: IndexArray) -> tuple[float, ...]:
    """Returns the weights of [tier_count, item_count, label_count] log-probabilities at the last of these tiers."""
    if len(logarithms) == 1:
        return (1.0,)
    items = np.arange(len(labels))
    of_truth = logarithms[:, items, labels]

    def loss(weights: DoubleArray) -> tuple[float, DoubleArray]:
        pooled = np.tensordot(weights, logarithms, axes=1)
        normaliser = special.logsumexp(pooled, axis=1)
        posterior = np.exp(pooled - normaliser[:, None])
        slope = (logarithms * posterior).sum(axis=2) - of_truth
        return float((normaliser - weights @ of_truth).mean()), slope.mean(axis=1)

    start = np.zeros(len(logarithms))
    start[-1] = 1.0
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(logarithms))
    return tuple(max(0.0, float(each)) for each in found.x)
