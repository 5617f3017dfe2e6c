"""The frontier: what stands on it is measured right, and nothing on the grid beats it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from made_evidence import made_evidence

from build_engines.cascade_solver import DisagreementPromise, GapPromise, Promise, SelectivePromise
from build_engines.cascade_solver.exit_policy import ALWAYS, NEVER, ExitPolicy, apply_policy, losses_at_exit
from build_engines.cascade_solver.frontier import find_frontier, pareto, thin

_PROMISES = [
    GapPromise(0.05, 0.1),
    DisagreementPromise(0.05, 0.1),
    SelectivePromise(0.1, 0.1, unanswered_cost_ms=200.0),
]


@pytest.mark.parametrize("may_skip", [True, False])
@pytest.mark.parametrize("promise", _PROMISES)
@pytest.mark.parametrize(("tiers", "heads"), [(3, 2), (3, 1), (2, 1), (2, 3), (1, 1)])
def test_points_are_what_the_policy_does(promise: Promise, tiers: int, heads: int, *, may_skip: bool) -> None:
    """Cost and excess of every point are those of its policy applied item by item."""
    evidence = made_evidence(150, tiers=tiers, heads=heads)
    unanswered_cost_ms = promise.unanswered_cost_ms if isinstance(promise, SelectivePromise) else 0.0
    for point in find_frontier(evidence, promise, policies_per_tier=27, may_skip=may_skip):
        exits = apply_policy(point.policy, evidence, unanswered_cost_ms=unanswered_cost_ms)
        losses = losses_at_exit(promise.losses(evidence), exits)
        excess = np.nan_to_num(losses - promise.limit, nan=0.0).mean(axis=1)
        assert point.cost_ms == pytest.approx(exits.cost_ms.mean(), rel=1e-5)
        assert point.excess == pytest.approx(tuple(excess), abs=1e-6)


def test_thresholds_leave_room_for_last_digits() -> None:
    """Whoever computes a confidence a trifle lower stops at the same tier: many photos may share one, to the digit."""
    evidence = made_evidence(150, tiers=2, heads=1)
    for point in find_frontier(evidence, GapPromise(0.05, 0.1), policies_per_tier=27, may_skip=False):
        [threshold] = point.policy.thresholds[0]
        reached = evidence.confidences[0, 0][evidence.confidences[0, 0] >= threshold]
        assert np.all(reached - 1e-12 >= threshold)


@pytest.mark.parametrize("may_skip", [True, False])
def test_cost_and_risk_run_against_each_other(*, may_skip: bool) -> None:
    """From point to point cost falls and risk rises."""
    points = find_frontier(made_evidence(400), GapPromise(0.05, 0.1), policies_per_tier=100, may_skip=may_skip)
    assert len(points) > 10
    assert all(a.cost_ms > b.cost_ms and a.risk < b.risk for a, b in itertools.pairwise(points))


def test_no_policy_on_the_grid_beats_the_frontier() -> None:
    """Every choice of confidences that occur as thresholds is matched or beaten by a point of the frontier."""
    evidence = made_evidence(12, heads=1)
    promise = DisagreementPromise(0.1, 0.1)
    points = find_frontier(evidence, promise, policies_per_tier=200, may_skip=False)
    levels = [(*map(float, evidence.confidences[tier, 0]), NEVER) for tier in (0, 1)]
    for first, second in itertools.product(*levels):
        policy = ExitPolicy(((first,), (second,), (ALWAYS,)), (False,) * 3)
        exits = apply_policy(policy, evidence)
        loss = losses_at_exit(promise.losses(evidence), exits).mean()
        assert any(
            each.cost_ms <= exits.cost_ms.mean() + 1e-4 and each.excess[0] + 0.1 <= loss + 1e-6 for each in points
        )


def test_skipping_is_never_dearer() -> None:
    """Whatever may be reached without skipping may be reached with it, for no more money."""
    evidence, promise = made_evidence(300), GapPromise(0.05, 0.1)
    with_skip, without = (
        find_frontier(evidence, promise, policies_per_tier=64, may_skip=each) for each in (True, False)
    )
    for point in without:
        assert any(each.cost_ms <= point.cost_ms + 1e-6 and each.risk <= point.risk + 1e-6 for each in with_skip)


def test_three_free_stages_are_solved() -> None:
    """Three tiers that may leave items unanswered give a frontier; only the best beginnings go on."""
    promise = SelectivePromise(0.2, 0.1, unanswered_cost_ms=100.0)
    points = find_frontier(made_evidence(300, heads=2), promise, policies_per_tier=144, may_skip=True)
    assert len(points) > 5


@given(
    points=npst.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(0, 9).map(float)),
)
def test_pareto_keeps_what_nothing_beats(points: np.ndarray) -> None:
    """A point is dominated if and only if it is left out; of equal points one stays."""
    kept = pareto(points[:, 0], points[:, 1])
    for index, point in enumerate(points):
        others = points[kept]
        beaten = (others <= point).all(axis=1) & (others < point).any(axis=1)
        equal = (others == point).all(axis=1)
        assert beaten.any() != equal.any()
        assert index not in kept or equal.sum() == 1


@given(length=st.integers(1, 300), count=st.integers(2, 50))
def test_thinning_keeps_both_ends(length: int, count: int) -> None:
    """At most `count` points stay, in order, the first and the last among them."""
    thinned = thin(np.arange(length), count)
    assert len(thinned) <= count or len(thinned) == length <= count
    assert (thinned[0], thinned[-1]) == (0, length - 1)
    assert (np.diff(thinned) > 0).all()
