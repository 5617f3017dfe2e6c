"""The solver as a whole: what it promises, what it says, and what it does when there is nothing to promise."""

import dataclasses

import numpy as np
import pytest
from made_evidence import COSTS_MS, made_evidence

from build_engines.cascade_solver import (
    NO_LABEL,
    Basis,
    CascadeEvidence,
    CascadeEvidenceError,
    DisagreementPromise,
    GapPromise,
    ProofMethod,
    SelectivePromise,
    SolverOptions,
    labels_needed,
    solve_cascade,
)

_PROMISE = GapPromise(0.05, 0.1)
_SELECTIVE = SelectivePromise(0.1, 0.1, unanswered_cost_ms=200.0)
_QUICK = SolverOptions(policies_per_tier=64, tried_policies=30)


def _with_right(evidence: CascadeEvidence, value: int) -> CascadeEvidence:
    return dataclasses.replace(evidence, right=np.full_like(evidence.right, value))


def test_a_solution_is_cheaper_than_the_strongest_tier_and_says_why() -> None:
    """With labels enough the promise is tested, every head convinces, and the cost is in its interval."""
    solution = solve_cascade(made_evidence(4000), _PROMISE, options=_QUICK)
    assert solution.basis is Basis.TESTED
    assert solution.holds
    assert max(solution.p_values.values()) <= 0.1
    assert solution.labels_used == 4000
    assert solution.cost_ms.low < solution.cost_ms.mean < solution.cost_ms.high < COSTS_MS[2]
    assert sum(solution.exit_shares.values()) == pytest.approx(1.0)
    assert max(solution.measured.mean_losses.values()) < 0.05


def test_thresholds_are_named_by_tier_and_head() -> None:
    """The thresholds can be laid into a release as they are; the last tier always suffices."""
    solution = solve_cascade(made_evidence(4000), _PROMISE, options=_QUICK)
    assert list(solution.thresholds) == ["fast", "medium", "full"]
    assert solution.thresholds["full"] == {"head_0": 0.0, "head_1": 0.0}


def test_the_same_evidence_gives_the_same_solution() -> None:
    """Nothing is left to chance but the seed."""
    evidence = made_evidence(1200, group_size=3)
    first, second = (solve_cascade(evidence, _PROMISE, options=_QUICK) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("method", list(ProofMethod))
def test_groups_count_once(method: ProofMethod) -> None:
    """Photos of one specimen are one item of the test."""
    options = dataclasses.replace(_QUICK, method=method)
    solution = solve_cascade(made_evidence(3000, group_size=3), _PROMISE, options=options)
    assert solution.test_items == 500


@pytest.mark.parametrize("tiers", [2, 1])
def test_fewer_tiers(tiers: int) -> None:
    """Two tiers are solved; one alone is a bypass."""
    solution = solve_cascade(made_evidence(3000, tiers=tiers, heads=1), _PROMISE, options=_QUICK)
    assert solution.basis is (Basis.TESTED if tiers == 2 else Basis.BYPASS)


def test_three_labels_give_bypass() -> None:
    """Too few labels to promise anything: everything goes straight to the strongest tier, and that promise holds."""
    evidence = made_evidence(3, test_share=0.34)
    solution = solve_cascade(evidence, _PROMISE, options=_QUICK)
    assert solution.basis is Basis.BYPASS
    assert solution.holds
    assert solution.skipped_tiers == ("fast", "medium")
    assert solution.exit_shares["full"] == 1.0
    assert solution.cost_ms.mean == COSTS_MS[2]
    assert solution.p_values == {}


def test_no_labels_are_an_error_where_labels_are_needed() -> None:
    """Without labels a gap cannot be promised, and the error names both parts."""
    with pytest.raises(CascadeEvidenceError, match="frontier part has no labelled item; the test part has no labelled"):
        solve_cascade(_with_right(made_evidence(100), NO_LABEL), _PROMISE, options=_QUICK)


def test_no_labels_are_needed_for_agreement() -> None:
    """The promise on disagreement is solved without a label, says so, and compares with nothing that needs one."""
    solution = solve_cascade(
        _with_right(made_evidence(4000, strengths=(3.0, 3.5, 4.0)), NO_LABEL),
        DisagreementPromise(0.1, 0.1),
        options=_QUICK,
    )
    assert solution.basis is Basis.TESTED
    assert solution.labels_used == 0
    assert solution.comparators == ()
    assert solution.measured.accuracies == {}


def test_unlabelled_items_are_left_out() -> None:
    """An item without a label counts for cost, and not as a label."""
    evidence = made_evidence(3000)
    right = evidence.right.copy()
    right[:, :, ::3] = NO_LABEL
    solution = solve_cascade(dataclasses.replace(evidence, right=right), _PROMISE, options=_QUICK)
    assert solution.labels_used == 2000


def test_if_every_answer_is_right_the_cheapest_tier_suffices() -> None:
    """No loss anywhere: nothing is escalated."""
    solution = solve_cascade(_with_right(made_evidence(1000), 1), _PROMISE, options=_QUICK)
    assert solution.basis is Basis.TESTED
    assert solution.cost_ms.mean == COSTS_MS[0]


def test_if_every_answer_is_wrong_the_gap_is_nil() -> None:
    """The promise is on the gap to the strongest tier: where that is always wrong, the cheapest keeps it."""
    solution = solve_cascade(_with_right(made_evidence(1000), 0), _PROMISE, options=_QUICK)
    assert solution.cost_ms.mean == COSTS_MS[0]
    assert solution.measured.accuracies == {"head_0": 0.0, "head_1": 0.0}


def test_if_every_answer_is_wrong_nothing_can_be_promised_of_answers() -> None:
    """A selective promise without a right answer does not hold, and says so."""
    solution = solve_cascade(_with_right(made_evidence(1000), 0), _SELECTIVE, options=_QUICK)
    assert solution.basis is Basis.NONE
    assert not solution.holds


def test_a_selective_cascade_leaves_hard_items_to_people() -> None:
    """When it answers, the error is within the rate; the coverage is below 1 and in step with the exits."""
    solution = solve_cascade(made_evidence(6000, heads=1), _SELECTIVE, options=_QUICK)
    assert solution.basis is Basis.TESTED
    assert solution.measured.mean_losses["head_0"] < 0.1
    assert 0.3 < solution.measured.coverage < 1.0
    assert solution.measured.coverage == pytest.approx(sum(solution.exit_shares.values()))


def test_comparators_are_named_and_in_order() -> None:
    """The oracle beats every single tier, and the random mix costs what the cascade costs."""
    solution = solve_cascade(made_evidence(4000, heads=1), _PROMISE, options=_QUICK)
    by_name = {each.name: each for each in solution.comparators}
    assert list(by_name) == ["fast alone", "medium alone", "full alone", "random mix", "fixed .75/.80", "oracle"]
    assert by_name["random mix"].cost_ms == pytest.approx(solution.cost_ms.mean)
    assert by_name["oracle"].accuracies["head_0"] >= by_name["full alone"].accuracies["head_0"]
    assert by_name["full alone"].mean_losses["head_0"] == 0.0
    assert solution.measured.accuracies["head_0"] > by_name["random mix"].accuracies["head_0"]


def test_a_tighter_promise_needs_more_labels() -> None:
    """For about the same cost, half the gap takes more labels; for more labels, the cost falls."""
    solution = solve_cascade(made_evidence(6000, heads=1), _PROMISE, options=_QUICK)
    loose, tight = labels_needed(solution, 0.05), labels_needed(solution, 0.025)
    assert loose[0].labels < tight[0].labels
    for needs in (loose, tight):
        assert [each.labels for each in needs] == sorted(each.labels for each in needs)
        assert [each.cost_ms for each in needs] == sorted((each.cost_ms for each in needs), reverse=True)


def test_what_the_labels_would_buy_is_about_what_they_bought() -> None:
    """At the present limit, the labels at hand are said to buy about the cost that they did buy."""
    solution = solve_cascade(made_evidence(6000, heads=1), _PROMISE, options=_QUICK)
    bought = [each for each in labels_needed(solution, 0.05) if each.labels <= solution.labels_used]
    assert bought[-1].cost_ms == pytest.approx(solution.cost_ms.mean, rel=0.25)


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_an_impossible_limit_is_refused(limit: float) -> None:
    """A limit outside (0, 1) is an error."""
    with pytest.raises(ValueError, match="limit"):
        labels_needed(solve_cascade(made_evidence(100), _PROMISE, options=_QUICK), limit)


@pytest.mark.parametrize("numbers", [(0.0, 0.1), (0.1, 1.0), (float("nan"), 0.1)])
def test_impossible_promises_are_refused(numbers: tuple[float, float]) -> None:
    """Shares outside (0, 1) are an error, whatever the promise."""
    for kind in (GapPromise, DisagreementPromise):
        with pytest.raises(ValueError, match="between 0 and 1"):
            kind(*numbers)
    with pytest.raises(ValueError, match="unanswered_cost_ms"):
        SelectivePromise(0.1, 0.1, unanswered_cost_ms=0.0)
    with pytest.raises(ValueError, match="at least 4"):
        SolverOptions(policies_per_tier=3)
