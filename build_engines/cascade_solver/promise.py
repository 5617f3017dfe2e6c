"""The promises that a cascade can make, and what an item's answer counts against them."""

import enum
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver.evidence import CascadeEvidence

DoubleArray = npt.NDArray[np.float64]


class LossKind(enum.Enum):
    """What values a loss can take."""

    BINARY = "binary"
    """0 or 1."""

    PAIRED = "paired"
    """-1, 0 or 1: the difference of two answers."""


@dataclass(frozen=True, slots=True)
class GapPromise:
    """For each decision head, accuracy at most `epsilon` below the strongest tier. Needs labels.

    Attributes:
        epsilon: In (0, 1).
        delta: The chance that the promise, over all heads, is broken; in (0, 1).
    """

    loss_kind: ClassVar[LossKind] = LossKind.PAIRED
    needs_labels: ClassVar[bool] = True

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of range."""
        _check(epsilon=self.epsilon, delta=self.delta)

    @property
    def limit(self) -> float:
        """The largest mean loss that keeps the promise."""
        return self.epsilon

    def losses(self, evidence: CascadeEvidence) -> DoubleArray:
        """Returns the difference that an answer makes.

        Returns:
            [tier_count, head_count, item_count] float64: 1 where only the strongest tier is right, -1 where only this
            tier is, else 0.
        """
        return evidence.own.right[-1:].astype(np.float64) - evidence.right


@dataclass(frozen=True, slots=True)
class DisagreementPromise:
    """For each decision head, at most a share `epsilon` of answers that the strongest tier would not give. No labels.

    Attributes:
        epsilon: In (0, 1).
        delta: The chance that the promise, over all heads, is broken; in (0, 1).
    """

    loss_kind: ClassVar[LossKind] = LossKind.BINARY
    needs_labels: ClassVar[bool] = False

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of range."""
        _check(epsilon=self.epsilon, delta=self.delta)

    @property
    def limit(self) -> float:
        """The largest mean loss that keeps the promise."""
        return self.epsilon

    def losses(self, evidence: CascadeEvidence) -> DoubleArray:
        """Returns [tier_count, head_count, item_count] float64: 1 where the strongest tier answers otherwise."""
        return (~evidence.agrees).astype(np.float64)


@dataclass(frozen=True, slots=True)
class SelectivePromise:
    """When the cascade answers, each decision head is wrong in at most a share `error_rate`. Needs labels.

    The last tier has thresholds too; an item that stays below them is not answered, and goes to a person.

    Attributes:
        error_rate: In (0, 1).
        delta: The chance that the promise, over all heads, is broken; in (0, 1).
        unanswered_cost_ms: What an unanswered item costs on top of its tiers, above 0: the price of coverage.
    """

    loss_kind: ClassVar[LossKind] = LossKind.BINARY
    needs_labels: ClassVar[bool] = True

    error_rate: float
    delta: float
    unanswered_cost_ms: float

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of range."""
        _check(error_rate=self.error_rate, delta=self.delta)
        if not (np.isfinite(self.unanswered_cost_ms) and self.unanswered_cost_ms > 0):
            raise ValueError(f"unanswered_cost_ms {self.unanswered_cost_ms} is not above 0")

    @property
    def limit(self) -> float:
        """The largest mean loss that keeps the promise."""
        return self.error_rate

    def losses(self, evidence: CascadeEvidence) -> DoubleArray:
        """Returns [tier_count, head_count, item_count] float64: 1 where the answer is wrong, else 0."""
        return 1.0 - evidence.right.astype(np.float64)


Promise = GapPromise | DisagreementPromise | SelectivePromise


class PromiseKind(enum.Enum):
    """The promises by their names."""

    GAP = "gap"
    """How far each decision head's accuracy may be below the strongest tier's."""

    DISAGREEMENT = "disagreement"
    """How often a decision head may answer otherwise than the strongest tier; needs no labels."""

    SELECTIVE = "selective"
    """How often a decision head may be wrong when the cascade is sure enough to answer."""


def kind_of(promise: Promise) -> PromiseKind:
    """Returns the name of a promise."""
    match promise:
        case GapPromise():
            return PromiseKind.GAP
        case DisagreementPromise():
            return PromiseKind.DISAGREEMENT
        case SelectivePromise():
            return PromiseKind.SELECTIVE


def _check(**shares: float) -> None:
    for name, share in shares.items():
        if not 0.0 < share < 1.0:
            raise ValueError(f"{name} {share} is not between 0 and 1")
