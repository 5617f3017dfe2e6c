"""Compares kinds of maps on items that they were not fitted on; what is as good and simpler wins."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.domain.calibration.fit_items import IndexArray
from server.domain.calibration.probability import DoubleArray
from server.domain.errors import CalibrationDataError

FOLDS = 5


class MapKind(enum.Enum):
    """The kinds of maps, from simple to free: the order in which near-ties are decided."""

    IDENTITY = "identity"
    """The engine's own probabilities."""

    TEMPERATURE = "smoothed_temperature"
    """One temperature; categories only."""

    PLATT = "platt"
    """A logistic map; of the winning label for categories."""

    STRUCTURED_VECTOR = "structured_vector"
    """A scale and a shift a label; categories only, may change the winner."""

    BETA = "beta"
    """A logistic map of two logarithms; of the winning label for categories."""

    STRUCTURED_MATRIX = "structured_matrix"
    """Mixes labels; categories only, may change the winner."""

    ISOTONIC = "isotonic"
    """Centred isotonic; of the winning label for categories."""


@dataclass(frozen=True, slots=True)
class CrossValidatedLoss:
    """How well one kind answers for items that it was not fitted on.

    Attributes:
        kind: What was fitted.
        log_loss: Mean over all items.
        excess: `log_loss` minus that of the best kind, at least 0.
        excess_error: The standard error of `excess`; items of one group count as one.
    """

    kind: MapKind
    log_loss: float
    excess: float
    excess_error: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what was chosen.

    Attributes:
        question: What the log-loss is of, e.g. `labels`, `winner` or an attribute's name.
        chosen: The simplest kind that was near enough to the best.
        losses: One for each kind that took part, from simple to free; empty if there was nothing to choose from.
    """

    question: str
    chosen: MapKind
    losses: tuple[CrossValidatedLoss, ...]


@dataclass(frozen=True, slots=True)
class Folds:
    """Which items are left out together.

    Attributes:
        members: [item_count] int64. The group of each item, counted from 0.
        group_count: How many groups there are.
        fold_of: [item_count] int64. The fold that leaves the item out, in [0, `FOLDS`).
    """

    members: IndexArray
    group_count: int
    fold_of: IndexArray

    @property
    def independent_share(self) -> float:
        """How many independent labels there are an item, in (0, 1]."""
        return self.group_count / len(self.members)

    @classmethod
    def deal(cls, groups: IndexArray | None, *, item_count: int, seed: int) -> "Folds":
        """Deals groups to folds at random, as evenly as can be.

        Args:
            groups: [item_count] int64; items of one group stay together. None: each item by itself.
            item_count: How many items there are, at least 1.
            seed: Makes the dealing repeatable.

        Raises:
            CalibrationDataError: Groups and items are not as many.
        """
        if groups is not None and groups.shape != (item_count,):
            raise CalibrationDataError(f"groups of shape {groups.shape} do not match {item_count} items")
        members = np.arange(item_count) if groups is None else np.unique(groups, return_inverse=True)[1]
        group_count = int(members.max()) + 1
        dealt = np.random.default_rng(seed).permutation(np.arange(group_count) % FOLDS)
        return cls(members, group_count, dealt[members])


def compare(
    question: str, kinds: Sequence[MapKind], losses: DoubleArray, folds: Folds, *, reach: float = 1.0
) -> Comparison:
    """Chooses the simplest kind whose loss is near enough to the best.

    Args:
        question: Names the comparison.
        kinds: From simple to free; at least one.
        losses: [kind_count, item_count] float64. Each item's log-loss by a map that was not fitted on it.
        folds: Who belongs together.
        reach: How many standard errors of the difference are near enough, at least 0.
    """
    means = losses.mean(axis=1)
    best = int(means.argmin())
    compared = []
    for kind, own, mean in zip(kinds, losses, means.tolist(), strict=True):
        excess = mean - float(means[best])
        sums = np.bincount(folds.members, weights=own - losses[best] - excess)
        variance = (sums**2).sum() * folds.group_count / max(folds.group_count - 1, 1)
        compared.append(CrossValidatedLoss(kind, mean, excess, float(np.sqrt(variance)) / losses.shape[1]))
    chosen = next(each for each in compared if each.excess <= reach * each.excess_error)
    return Comparison(question, chosen.kind, tuple(compared))
