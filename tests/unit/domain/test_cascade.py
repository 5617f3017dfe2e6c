"""The cascade's policy: what it plans, when it stops, and what never happens."""

import pytest
from builders import TASK, make_release, make_tier
from hypothesis import given
from hypothesis import strategies as st

from server.domain.cascade import OWN_PATH, CascadePolicy, StopReason, decide, plan_tiers, promise_covers
from server.domain.errors import InvalidRequestError, UnknownTierError
from server.domain.release import Release

TIERS = ("fast", "medium", "full")
RELEASE = make_release(*TIERS)
UNIT = st.floats(0, 1)
CONFIDENCES = st.fixed_dictionaries({"kind": UNIT, "grade": UNIT})


def test_every_decision_head_must_be_sure() -> None:
    """One head below its threshold is enough to escalate."""
    fast = RELEASE.tier("fast")
    assert decide(RELEASE, fast, OWN_PATH, {"kind": 0.95, "grade": 0.79}).stop_reason is None
    assert decide(RELEASE, fast, OWN_PATH, {"kind": 0.89, "grade": 0.99}).stop_reason is None


def test_a_threshold_is_inclusive() -> None:
    """A confidence equal to the threshold suffices."""
    decision = decide(RELEASE, RELEASE.tier("fast"), OWN_PATH, {"kind": 0.9, "grade": 0.8})
    assert decision.stop_reason is StopReason.CONFIDENT
    assert all(each.is_sure for each in decision.heads)


def test_the_last_tier_always_stops() -> None:
    """Behind the strongest tier there is nowhere to go."""
    decision = decide(RELEASE, RELEASE.tier("full"), OWN_PATH, {"kind": 0.1, "grade": 0.1})
    assert decision.stop_reason is StopReason.LAST_TIER


def test_a_selective_promise_leaves_out_what_its_last_tier_is_unsure_of() -> None:
    """A last tier with thresholds of its own covers only what reached them; without, it covers all that came so far."""
    selective = make_tier("full", thresholds={"kind": 0.9, "grade": 0.8})
    assert promise_covers(selective, StopReason.CONFIDENT)
    assert not promise_covers(selective, StopReason.LAST_TIER)
    assert promise_covers(RELEASE.tier("full"), StopReason.LAST_TIER)


def test_a_policy_may_limit_the_tier() -> None:
    """An unsure answer at the policy's strongest tier stops for the limit."""
    policy = CascadePolicy(max_tier="medium")
    decision = decide(RELEASE, RELEASE.tier("medium"), policy, {"kind": 0.1, "grade": 0.1})
    assert decision.stop_reason is StopReason.TIER_LIMIT


def test_a_policy_may_replace_the_thresholds() -> None:
    """`sufficient_confidence` holds for every decision head."""
    policy = CascadePolicy(sufficient_confidence=0.5)
    decision = decide(RELEASE, RELEASE.tier("fast"), policy, {"kind": 0.5, "grade": 0.6})
    assert decision.stop_reason is StopReason.CONFIDENT
    assert {each.threshold for each in decision.heads} == {0.5}


def test_a_threshold_above_one_never_stops() -> None:
    """That is how a release says that a tier may not answer."""
    release = Release(TASK, 1, (make_tier(thresholds={"kind": 1.01, "grade": 1.01}), make_tier("full")))
    assert decide(release, release.tiers[0], OWN_PATH, {"kind": 1.0, "grade": 1.0}).stop_reason is None


@given(st.sampled_from(TIERS), CONFIDENCES, UNIT, UNIT)
def test_a_higher_threshold_never_stops_earlier(
    tier: str, confidences: dict[str, float], one: float, other: float
) -> None:
    """What is sure enough for a threshold is sure enough for every lower one."""
    low, high = sorted((max(one, 1e-6), max(other, 1e-6)))
    strict = decide(RELEASE, RELEASE.tier(tier), CascadePolicy(sufficient_confidence=high), confidences)
    loose = decide(RELEASE, RELEASE.tier(tier), CascadePolicy(sufficient_confidence=low), confidences)
    assert loose.stop_reason is not None or strict.stop_reason is None


@given(st.sampled_from([None, *TIERS]), st.sampled_from([None, *TIERS]))
def test_a_plan_visits_tiers_in_order_and_once(min_tier: str | None, max_tier: str | None) -> None:
    """A plan is a run of the release's tiers between the policy's limits; limits that cross are refused."""
    policy = CascadePolicy(min_tier, max_tier)
    first, last = TIERS.index(min_tier or "fast"), TIERS.index(max_tier or "full")
    if first > last:
        with pytest.raises(InvalidRequestError):
            plan_tiers(RELEASE, policy)
    else:
        assert tuple(each.tier for each in plan_tiers(RELEASE, policy)) == TIERS[first : last + 1]


def test_a_policy_cannot_name_a_tier_that_is_not_there() -> None:
    """The error says which tiers there are."""
    with pytest.raises(UnknownTierError, match="fast, medium, full"):
        plan_tiers(RELEASE, CascadePolicy(max_tier="huge"))


def test_a_tier_that_can_never_stop_is_passed_over() -> None:
    """It would only cost; the strongest that may run always does, and a request's own threshold opens it again."""
    never, open_ = {"kind": 2.0, "grade": 2.0}, {"kind": 0.9, "grade": 0.9}
    tiers = (
        make_tier("fast", thresholds=open_),
        make_tier("medium", thresholds=never),
        make_tier("full", thresholds=never),
    )
    release = Release(TASK, 1, tiers)

    def planned(policy: CascadePolicy) -> list[str]:
        return [each.tier for each in plan_tiers(release, policy)]

    assert planned(CascadePolicy()) == ["fast", "full"]
    assert planned(CascadePolicy(max_tier="medium")) == ["fast", "medium"]
    assert planned(CascadePolicy(sufficient_confidence=0.5)) == ["fast", "medium", "full"]
