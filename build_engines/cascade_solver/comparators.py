"""What a cascade must beat, and what it cannot: single tiers, a random mix of them, fixed thresholds, the oracle."""

import itertools
from collections.abc import Sequence

import numpy as np

from build_engines.cascade_solver.evidence import CascadeEvidence
from build_engines.cascade_solver.exit_policy import ALWAYS, NEVER, ExitPolicy
from build_engines.cascade_solver.promise import Promise
from build_engines.cascade_solver.solution import MeasuredPolicy, measure_policy

FIXED_RULE = "fixed .75/.80"
FIXED_THRESHOLDS = (0.75, 0.80)
"""The fixed rule: at the first tier, and at every later one."""


def compare(evidence: CascadeEvidence, promise: Promise, *, cost_ms: float) -> tuple[MeasuredPolicy, ...]:
    """Measures the other ways to answer on labelled items.

    Args:
        evidence: The *test* part. All items labelled, at least one.
        promise: Says what a loss is.
        cost_ms: What the random mix may cost: the cost of the cascade that it is compared with.
    """
    singles = [
        measure_policy(f"{tier} alone", _single(evidence, index), evidence, promise)
        for index, tier in enumerate(evidence.tiers)
    ]
    fixed = measure_policy(FIXED_RULE, _fixed(evidence), evidence, promise)
    return (*singles, random_mix(singles, cost_ms=cost_ms), fixed, oracle(evidence))


def random_mix(singles: Sequence[MeasuredPolicy], *, cost_ms: float) -> MeasuredPolicy:
    """Returns the best that a coin buys: two single tiers, drawn at random so that the mean cost is `cost_ms`.

    Args:
        singles: The single tiers, at least one.
        cost_ms: Is brought into the range of their costs.
    """
    costs = [each.cost_ms for each in singles]
    target = min(max(cost_ms, min(costs)), max(costs))
    mixes = [_mix(low, high, target) for low, high in itertools.product(singles, repeat=2)]
    return max((each for each in mixes if each is not None), key=lambda each: sum(each.accuracies.values()))


def oracle(evidence: CascadeEvidence) -> MeasuredPolicy:
    """Returns what a cascade would reach that knows which answers are right.

    It stops at the first tier that has every head right, having paid for those before it; where there is none, at the
    first tier.

    Args:
        evidence: All items labelled, at least one.
    """
    all_right = (evidence.right == 1).all(axis=1)
    stop = np.where(all_right.any(axis=0), all_right.argmax(axis=0), 0)
    right = np.take_along_axis(evidence.right, stop[None, None, :], axis=0)[0]
    accuracies = {head: float(each.mean()) for head, each in zip(evidence.heads, right, strict=True)}
    cost_ms = evidence.entry_ms + float(np.cumsum(evidence.costs_ms)[stop].mean())
    return MeasuredPolicy("oracle", cost_ms, accuracies, {}, {})


def _single(evidence: CascadeEvidence, index: int) -> ExitPolicy:
    heads = len(evidence.heads)
    return ExitPolicy(
        tuple((ALWAYS if each == index else NEVER,) * heads for each in range(len(evidence.tiers))),
        tuple(each != index for each in range(len(evidence.tiers))),
    )


def _fixed(evidence: CascadeEvidence) -> ExitPolicy:
    heads, early = len(evidence.heads), len(evidence.tiers) - 1
    first, later = FIXED_THRESHOLDS
    rule = (*((first,) + (later,) * early)[:early], ALWAYS)
    return ExitPolicy(tuple((each,) * heads for each in rule), (False,) * len(evidence.tiers))


def _mix(low: MeasuredPolicy, high: MeasuredPolicy, cost_ms: float) -> MeasuredPolicy | None:
    """Returns the mix of two tiers at this cost, or None if they cannot have it."""
    if not low.cost_ms <= cost_ms <= high.cost_ms:
        return None
    share = (cost_ms - low.cost_ms) / (high.cost_ms - low.cost_ms) if high.cost_ms > low.cost_ms else 1.0
    mixed = {head: (1.0 - share) * low.accuracies[head] + share * high.accuracies[head] for head in high.accuracies}
    return MeasuredPolicy("random mix", cost_ms, mixed, {}, {})
