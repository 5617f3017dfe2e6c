"""The cascade: accept this answer, or escalate. Pure and total; visits tiers in order, at most once each."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from server.domain.errors import InvalidRequestError, Violation
from server.domain.release import Release, TierRelease


class StopReason(enum.Enum):
    """Why a cascade stopped."""

    CONFIDENT = "confident"
    """Every decision head reached its threshold."""

    LAST_TIER = "last_tier"
    """No stronger tier is left."""

    TIER_LIMIT = "tier_limit"
    """The request's policy allows no stronger tier."""

    DEADLINE = "deadline"
    """The remaining time does not allow a stronger tier."""

    TIER_UNAVAILABLE = "tier_unavailable"
    """A stronger tier was wanted and is not available."""

    OVERLOAD = "overload"
    """A stronger tier was wanted and is too busy."""


DEGRADED_REASONS = frozenset({StopReason.DEADLINE, StopReason.TIER_UNAVAILABLE, StopReason.OVERLOAD})
"""The reasons with which an answer is weaker than the cascade wanted."""


@dataclass(frozen=True, slots=True)
class CascadePolicy:
    """Limits on the cascade for one request.

    Attributes:
        min_tier: The tier to start with; the release's first if None.
        max_tier: The strongest tier that may run; the release's last if None.
        sufficient_confidence: Replaces every threshold, in (0, 1]; the release's own thresholds if None.
    """

    min_tier: str | None = None
    max_tier: str | None = None
    sufficient_confidence: float | None = None


OWN_PATH = CascadePolicy()
"""The release's own path, which its guarantee covers."""


@dataclass(frozen=True, slots=True)
class HeadDecision:
    """Whether one decision head was sure enough.

    Attributes:
        head: The head's id.
        confidence: Calibrated, in [0, 1].
        threshold: The confidence that suffices (inclusive); above 1 for never.
    """

    head: str
    confidence: float
    threshold: float

    @property
    def is_sure(self) -> bool:
        """Whether the confidence suffices."""
        return self.confidence >= self.threshold


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a tier has answered: stop for a reason, or escalate if `stop_reason` is None."""

    heads: tuple[HeadDecision, ...]
    stop_reason: StopReason | None


def plan_tiers(release: Release, policy: CascadePolicy) -> tuple[TierRelease, ...]:
    """Returns the tiers that a request may visit, cheapest first; never empty.

    A tier whose thresholds no confidence reaches is passed over: it could not stop, and would only cost; but not where
    a stronger tier's answers are fused with its own. The strongest that may run always does.

    Raises:
        UnknownTierError: The policy names a tier that the release has not.
        InvalidRequestError: The policy's cheapest tier is stronger than its strongest.
    """
    order = release.tier_ids
    first = order.index(release.tier(policy.min_tier).tier) if policy.min_tier is not None else 0
    last = order.index(release.tier(policy.max_tier).tier) if policy.max_tier is not None else len(order) - 1
    if first > last:
        raise InvalidRequestError(
            Violation("policy.min_tier", f"{policy.min_tier} is stronger than max_tier {policy.max_tier}")
        )
    *early, strongest = release.tiers[first : last + 1]
    if policy.sufficient_confidence is None and not release.is_fused:
        early = [tier for tier in early if tier.may_stop]
    return (*early, strongest)


def decide(release: Release, tier: TierRelease, policy: CascadePolicy, confidences: Mapping[str, float]) -> Decision:
    """Decides whether an answer may go out.

    Args:
        release: What is being served.
        tier: The tier that has just answered.
        policy: The request's limits.
        confidences: By decision head id, the calibrated confidence in [0, 1]; all decision heads of the task.
    """
    heads = tuple(
        HeadDecision(
            head=head,
            confidence=confidences[head],
            threshold=policy.sufficient_confidence
            if policy.sufficient_confidence is not None
            else tier.thresholds[head],
        )
        for head in release.task.decision_heads
    )
    if all(each.is_sure for each in heads):
        return Decision(heads, StopReason.CONFIDENT)
    if tier.tier == release.tier_ids[-1]:
        return Decision(heads, StopReason.LAST_TIER)
    if tier.tier == policy.max_tier:
        return Decision(heads, StopReason.TIER_LIMIT)
    return Decision(heads, None)


def promise_covers(tier: TierRelease, stop_reason: StopReason) -> bool:
    """Returns whether the release's promise covers an answer that took the release's own path.

    Under a selective promise the last tier has thresholds too, and an answer that missed them is for a person.

    Args:
        tier: The tier that answered.
        stop_reason: Why the cascade stopped there; none that degrades.
    """
    return not (stop_reason is StopReason.LAST_TIER and tier.may_stop)
