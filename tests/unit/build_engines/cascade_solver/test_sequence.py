"""Testing in sequence: it stops at the first failure, and every head must convince."""

import numpy as np
import pytest
from made_evidence import made_evidence

from build_engines.cascade_solver import DisagreementPromise, GapPromise, ProofMethod, SelectivePromise
from build_engines.cascade_solver.exit_policy import ALWAYS, NEVER, ExitPolicy, bypass
from build_engines.cascade_solver.frontier import FrontierPoint, find_frontier
from build_engines.cascade_solver.sequence import group_means, p_value, try_in_sequence

_EVIDENCE = made_evidence(600)


def _point(policy: ExitPolicy) -> FrontierPoint:
    return FrontierPoint(policy, 1.0, (0.0, 0.0), 0.0)


_SAFE = _point(bypass(_EVIDENCE))
_UNSAFE = _point(ExitPolicy(((ALWAYS, ALWAYS), (NEVER, NEVER), (ALWAYS, ALWAYS)), (False,) * 3))


def test_the_sequence_stops_at_the_first_failure() -> None:
    """What would pass behind a failure is not tried."""
    tried = try_in_sequence([_SAFE, _UNSAFE, _SAFE], _EVIDENCE, GapPromise(0.05, 0.1), method=ProofMethod.EXACT)
    assert [each.passed for each in tried] == [True, False]


@pytest.mark.parametrize("method", list(ProofMethod))
def test_a_policy_passes_only_if_every_head_does(method: ProofMethod) -> None:
    """One head beyond its limit fails the policy, however sure the other is."""
    evidence = made_evidence(4000, strengths=(4.0, 4.0, 4.0))
    agrees = evidence.agrees.copy()
    agrees[0, 1, ::5] = False
    evidence = type(evidence)(
        evidence.tiers,
        evidence.heads,
        evidence.costs_ms,
        evidence.confidences,
        evidence.right,
        agrees,
        evidence.groups,
        evidence.is_test,
    )
    tried = try_in_sequence([_UNSAFE], evidence, DisagreementPromise(0.05, 0.1), method=method)
    assert tried[0].p_values[0] < 0.1 < tried[0].p_values[1]
    assert not tried[0].passed


@pytest.mark.parametrize("method", list(ProofMethod))
def test_all_methods_agree_on_clear_cases(method: ProofMethod) -> None:
    """With 20,000 items every method passes the strongest tier and fails the cheapest."""
    evidence = made_evidence(20000, heads=1)
    points = find_frontier(made_evidence(400, heads=1), GapPromise(0.05, 0.1), policies_per_tier=16, may_skip=True)
    verdicts = [
        try_in_sequence([each], evidence, GapPromise(0.05, 0.1), method=method)[0].passed
        for each in (points[0], points[-1])
    ]
    assert verdicts == [True, False]


@pytest.mark.parametrize("method", list(ProofMethod))
def test_unanswered_items_are_no_errors(method: ProofMethod) -> None:
    """A selective promise is judged on the items that are answered."""
    promise = SelectivePromise(0.2, 0.1, unanswered_cost_ms=10.0)
    losses = np.concatenate([np.zeros(300), np.full(300, np.nan)])
    assert p_value(losses, np.arange(600), promise, method=method) < 0.01
    assert p_value(np.full(600, np.nan), np.arange(600), promise, method=method) == 1.0


def test_a_group_counts_once() -> None:
    """The mean of each group, in the order of the groups' numbers."""
    means = group_means(np.array([1.0, 0.0, 5.0, 2.0]), np.array([7, 7, 3, 7]))
    assert means.tolist() == [5.0, 1.0]


def test_betting_sees_a_group_as_one_item() -> None:
    """Ten copies of each item do not make betting surer."""
    promise = DisagreementPromise(0.05, 0.1)
    losses = np.random.default_rng(0).random(300) < 0.02
    once = p_value(losses.astype(float), np.arange(300), promise, method=ProofMethod.BETTING)
    copies = p_value(
        np.repeat(losses, 10).astype(float), np.repeat(np.arange(300), 10), promise, method=ProofMethod.BETTING
    )
    assert copies == pytest.approx(once)
