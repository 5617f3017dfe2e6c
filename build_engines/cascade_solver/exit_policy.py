"""A cascade as the solver sees it: thresholds by tier and head, which tiers are skipped, and what that does."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver.evidence import CascadeEvidence

DoubleArray = npt.NDArray[np.float64]

NEVER = 2.0
"""A threshold that no confidence reaches."""

ALWAYS = 0.0
"""A threshold that every confidence reaches."""


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """Where an item stops: at the first tier, not skipped, at which every decision head reaches its threshold.

    Attributes:
        thresholds: [tier][head], inclusive; `NEVER` at a skipped tier. `ALWAYS` at the last tier, unless the cascade
            may leave an item unanswered.
        skipped: [tier]. A skipped tier does not run, and costs nothing.
    """

    thresholds: tuple[tuple[float, ...], ...]
    skipped: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exits:
    """What a policy does to items.

    Attributes:
        tier: [item_count] int64. The index of the tier that answers; the count of tiers if none does.
        cost_ms: [item_count] float64. Of the entry, and of all tiers that ran.
    """

    tier: npt.NDArray[np.int64]
    cost_ms: DoubleArray


def bypass(evidence: CascadeEvidence) -> ExitPolicy:
    """Returns the policy that sends everything straight to the strongest tier."""
    early, heads = len(evidence.tiers) - 1, len(evidence.heads)
    return ExitPolicy(thresholds=((NEVER,) * heads,) * early + ((ALWAYS,) * heads,), skipped=(True,) * early + (False,))


def apply_policy(policy: ExitPolicy, evidence: CascadeEvidence, *, unanswered_cost_ms: float = 0.0) -> Exits:
    """Returns where each item stops, and at what cost.

    Args:
        policy: Has as many tiers and heads as the evidence.
        evidence: The items.
        unanswered_cost_ms: Added for an item that no tier answers.
    """
    count = evidence.confidences.shape[2]
    tier = np.full(count, len(evidence.tiers), dtype=np.int64)
    cost_ms = np.full(count, evidence.entry_ms)
    for index, (thresholds, skipped) in enumerate(zip(policy.thresholds, policy.skipped, strict=True)):
        if skipped:
            continue
        open_items = tier == len(evidence.tiers)
        cost_ms[open_items] += evidence.costs_ms[index]
        sure = (evidence.confidences[index] >= np.array(thresholds)[:, None]).all(axis=0)
        tier[open_items & sure] = index
    cost_ms[tier == len(evidence.tiers)] += unanswered_cost_ms
    return Exits(tier, cost_ms)


def losses_at_exit(losses: DoubleArray, exits: Exits) -> DoubleArray:
    """Returns what each item's answer counts against the promise.

    Args:
        losses: [tier_count, head_count, item_count] float64. See `losses` of the promises.
        exits: Of the same items.

    Returns:
        [head_count, item_count] float64; NaN where no tier answers.
    """
    answered = np.minimum(exits.tier, len(losses) - 1)
    at_exit: DoubleArray = np.take_along_axis(losses, answered[None, None, :], axis=0)[0]
    return np.where(exits.tier[None, :] < len(losses), at_exit, np.nan)
