"""What the solver found: the thresholds, what they promise and why, what they cost, and what else there was."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from build_engines.cascade_solver.evidence import CascadeEvidence
from build_engines.cascade_solver.exit_policy import ExitPolicy, apply_policy, losses_at_exit
from build_engines.cascade_solver.promise import Promise, SelectivePromise
from build_engines.cascade_solver.sequence import ProofMethod, TriedPolicy, group_means

_NORMAL_95 = 1.959963984540054


class Basis(enum.Enum):
    """Why a promise holds."""

    TESTED = "tested"
    """The policy passed its test."""

    BYPASS = "bypass"
    """Nothing passed; everything goes to the strongest tier, which keeps the promise by its wording."""

    NONE = "none"
    """Nothing passed, and the strongest tier alone promises nothing: the promise does not hold."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval, from the spread of the groups' means.

    Attributes:
        mean: The best guess.
        low: The interval's lower end.
        high: The interval's upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MeasuredPolicy:
    """A way to answer, measured on the *test* part.

    Attributes:
        name: E.g. `full alone`, `oracle`.
        cost_ms: The mean cost of an item.
        accuracies: By head, the share of right answers among those given; empty where no label is known.
        mean_losses: By head, what counts against the promise; empty if that is not defined or no item is answered.
        loss_variances: By head, of one item; as `mean_losses`.
        coverage: The share of items that are answered.
    """

    name: str
    cost_ms: float
    accuracies: Mapping[str, float]
    mean_losses: Mapping[str, float]
    loss_variances: Mapping[str, float]
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class CascadeSolution:
    """Thresholds with a promise.

    Attributes:
        promise: What was asked for.
        basis: Why it holds.
        method: How it was tested.
        tiers: Ids, cheapest first.
        heads: Ids of the decision heads.
        policy: What to serve.
        labels_used: Labelled items of both parts that were looked at; 0 for a promise that needs none.
        frontier_items: Items that the frontier was found on.
        test_items: Independent items (or groups) that the policies were tested on.
        tested: The policies that came to their turn, safest first; if any failed, it is the last.
        cost_ms: The expected cost of an item.
        exit_shares: By tier, the share of items that it answers.
        measured: The chosen policy on *test*.
        frontier: The policies in the order of testing, all measured on *test*; for pictures and `labels_needed`.
        comparators: Single tiers, a random mix, the fixed rule and the oracle, on *test*; empty without labels.
    """

    promise: Promise
    basis: Basis
    method: ProofMethod
    tiers: tuple[str, ...]
    heads: tuple[str, ...]
    policy: ExitPolicy
    labels_used: int
    frontier_items: int
    test_items: int
    tested: tuple[TriedPolicy, ...]
    cost_ms: Estimate
    exit_shares: Mapping[str, float]
    measured: MeasuredPolicy
    frontier: tuple[MeasuredPolicy, ...]
    comparators: tuple[MeasuredPolicy, ...]

    @property
    def holds(self) -> bool:
        """Whether the promise holds, tested or by bypass."""
        return self.basis is not Basis.NONE

    @property
    def thresholds(self) -> dict[str, dict[str, float]]:
        """By tier and head, the confidence that suffices (inclusive); above 1 for never."""
        return {
            tier: dict(zip(self.heads, each, strict=True))
            for tier, each in zip(self.tiers, self.policy.thresholds, strict=True)
        }

    @property
    def skipped_tiers(self) -> tuple[str, ...]:
        """The tiers that no item visits."""
        return tuple(tier for tier, skipped in zip(self.tiers, self.policy.skipped, strict=True) if skipped)

    @property
    def p_values(self) -> dict[str, float]:
        """By head, of the chosen policy; empty unless it was tested."""
        passed = [each for each in self.tested if each.passed]
        return dict(zip(self.heads, passed[-1].p_values, strict=True)) if passed else {}


def measure_policy(name: str, policy: ExitPolicy, evidence: CascadeEvidence, promise: Promise) -> MeasuredPolicy:
    """Measures a policy on a part of the evidence; accuracies and losses on its labelled items.

    Args:
        name: What people read.
        policy: Is applied to all items.
        evidence: At least one item.
        promise: Says what a loss is.
    """
    unanswered_cost_ms = promise.unanswered_cost_ms if isinstance(promise, SelectivePromise) else 0.0
    exits = apply_policy(policy, evidence, unanswered_cost_ms=unanswered_cost_ms)
    answered = exits.tier < len(evidence.tiers)
    known = answered & evidence.is_labelled
    counted = known if promise.needs_labels else answered
    tier = np.minimum(exits.tier, len(evidence.tiers) - 1)
    right = np.take_along_axis(evidence.right, tier[None, None, :], axis=0)[0]
    losses = losses_at_exit(promise.losses(evidence), exits)[:, counted]
    has_losses = bool(counted.any())
    return MeasuredPolicy(
        name,
        float(exits.cost_ms.mean()),
        _by_head(evidence, right[:, known].mean(axis=1)) if known.any() else {},
        _by_head(evidence, losses.mean(axis=1)) if has_losses else {},
        _by_head(evidence, losses.var(axis=1)) if has_losses else {},
        float(answered.mean()),
    )


def expected_cost(policy: ExitPolicy, evidence: CascadeEvidence, *, unanswered_cost_ms: float = 0.0) -> Estimate:
    """Returns the mean cost of an item with its 95 % interval; labels are not needed.

    Args:
        policy: Is applied to all items.
        evidence: At least one item.
        unanswered_cost_ms: Added for an item that no tier answers.
    """
    costs = group_means(apply_policy(policy, evidence, unanswered_cost_ms=unanswered_cost_ms).cost_ms, evidence.groups)
    half = _NORMAL_95 * float(costs.std(ddof=1)) / len(costs) ** 0.5 if len(costs) > 1 else float("inf")
    mean = float(costs.mean())
    run = [cost for cost, skipped in zip(evidence.costs_ms, policy.skipped, strict=True) if not skipped]
    least, most = evidence.entry_ms + min(run), evidence.entry_ms + sum(run)
    return Estimate(mean, max(least, mean - half), min(most + unanswered_cost_ms, mean + half))


def exit_shares(policy: ExitPolicy, evidence: CascadeEvidence) -> dict[str, float]:
    """Returns, by tier, the share of items that it answers; what is missing from 1 is not answered."""
    exits = apply_policy(policy, evidence)
    return {tier: float((exits.tier == index).mean()) for index, tier in enumerate(evidence.tiers)}


def _by_head(evidence: CascadeEvidence, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    return {head: float(value) for head, value in zip(evidence.heads, values, strict=True)}
