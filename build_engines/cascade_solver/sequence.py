"""Testing policies one after another, from the surest down, and stopping at the first that fails.

Angelopoulos et al., "Learn then Test: calibrating predictive algorithms to achieve risk control", 2021.

Why the promise holds over all heads at the full level `delta`, without dividing it: call a policy bad if any head
breaks its limit there. The hypothesis "this policy is bad" is a union over heads; under it at least one head's own
hypothesis is true, and that head's p-value is at most delta with probability at most delta. Hence so is the largest
p-value of all heads (the intersection-union argument): to pass, a policy must convince in every head, and no head pays
for the others. The order of the policies is set before *test* is looked at. A bad policy is chosen only if the first
bad one in that order passes, which has probability at most delta, however many policies there are and however they
depend on each other. Dividing delta over the heads would buy a choice of thresholds for each head on its own; a cascade
stops with all of its heads at once, and has no use for that.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver import p_values
from build_engines.cascade_solver.evidence import CascadeEvidence
from build_engines.cascade_solver.exit_policy import apply_policy, losses_at_exit
from build_engines.cascade_solver.frontier import FrontierPoint
from build_engines.cascade_solver.promise import LossKind, Promise

DoubleArray = npt.NDArray[np.float64]


class ProofMethod(enum.Enum):
    """How a policy is tested."""

    EXACT = "exact"
    """Exact p-values (binomial, paired), on one item a group. The most powerful while groups are small: at delta = .1
    betting must see 1.7 times the standard deviations, which a group's mean repays only if it is worth three items."""

    BETTING = "betting"
    """Betting on the groups' means, in the order of the groups' numbers."""

    HOEFFDING_BENTKUS = "hoeffding_bentkus"
    """The inequalities of Hoeffding and Bentkus on the groups' means."""


@dataclass(frozen=True, slots=True)
class TriedPolicy:
    """A policy that came to its turn.

    Attributes:
        point: The policy, as *frontier* saw it.
        p_values: By head, for "the promise is broken here", from *test*.
        passed: Whether every head's p-value is at most delta.
    """

    point: FrontierPoint
    p_values: tuple[float, ...]
    passed: bool


def try_in_sequence(
    points: Iterable[FrontierPoint], evidence: CascadeEvidence, promise: Promise, *, method: ProofMethod
) -> tuple[TriedPolicy, ...]:
    """Tests policies in their order up to the first that fails, which is the last of the result.

    Args:
        points: In an order that *test* had no part in.
        evidence: The *test* part; labelled if the promise needs labels. For `ProofMethod.EXACT` one item a group.
        promise: What is tested.
        method: How.
    """
    losses = promise.losses(evidence)
    tested: list[TriedPolicy] = []
    for point in points:
        at_exit = losses_at_exit(losses, apply_policy(point.policy, evidence))
        values = tuple(p_value(each, evidence.groups, promise, method=method) for each in at_exit)
        tested.append(TriedPolicy(point, values, max(values) <= promise.delta))
        if not tested[-1].passed:
            break
    return tuple(tested)


def p_value(losses: DoubleArray, groups: npt.NDArray[np.int64], promise: Promise, *, method: ProofMethod) -> float:
    """Returns the p-value for "the promise is broken" of one head.

    Args:
        losses: [item_count] float64. NaN where the item is not answered.
        groups: [item_count] int64.
        promise: Gives the limit, and what values a loss can take.
        method: How. The exact p-values take the items as independent.
    """
    answered = ~np.isnan(losses)
    limit = promise.limit
    if method is ProofMethod.EXACT:
        worse, better = int((losses == 1).sum()), int((losses == -1).sum())
        if promise.loss_kind is LossKind.PAIRED:
            return p_values.paired(worse, better, len(losses), limit=limit)
        return p_values.binomial(worse, int(answered.sum()), limit=limit)
    lowest = (-1.0 if promise.loss_kind is LossKind.PAIRED else 0.0) - limit
    # Clipped against the rounding of means: a bet takes no loss outside its range.
    means = np.clip(group_means(np.where(answered, losses - limit, 0.0), groups), lowest, 1.0 - limit)
    if method is ProofMethod.BETTING:
        return p_values.betting(means, limit=0.0, delta=promise.delta, low=lowest, high=1.0 - limit)
    scale = 1.0 - limit - lowest
    mean = float(means.mean()) if len(means) else 0.0
    return p_values.hoeffding_bentkus(min(max((mean - lowest) / scale, 0.0), 1.0), len(means), limit=-lowest / scale)


def group_means(values: DoubleArray, groups: npt.NDArray[np.int64]) -> DoubleArray:
    """Returns [group_count] float64: the mean of [item_count] values by group, in the order of the groups' numbers."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    means: DoubleArray = np.bincount(index, weights=values, minlength=len(counts)) / counts
    return means
