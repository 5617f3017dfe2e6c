"""Where items stop, and what that costs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_evidence import COSTS_MS, made_evidence

from build_engines.cascade_solver.comparators import oracle
from build_engines.cascade_solver.exit_policy import ALWAYS, NEVER, ExitPolicy, apply_policy, bypass, losses_at_exit
from build_engines.cascade_solver.frontier import find_frontier
from build_engines.cascade_solver.promise import GapPromise

_EVIDENCE = made_evidence(60)
_THRESHOLD = st.floats(0, 1.1)
_PAIR = st.tuples(_THRESHOLD, _THRESHOLD)


@given(low=st.tuples(_PAIR, _PAIR), rise=st.tuples(_PAIR, _PAIR))
def test_a_higher_threshold_never_stops_earlier(
    low: tuple[tuple[float, float], ...], rise: tuple[tuple[float, float], ...]
) -> None:
    """Raising any thresholds moves every item to the same tier or a later one, at no less cost."""
    high = tuple(tuple(a + b for a, b in zip(base, more, strict=True)) for base, more in zip(low, rise, strict=True))
    last = ((ALWAYS, ALWAYS),)
    before = apply_policy(ExitPolicy(low + last, (False,) * 3), _EVIDENCE)
    after = apply_policy(ExitPolicy(high + last, (False,) * 3), _EVIDENCE)
    assert (after.tier >= before.tier).all()
    assert (after.cost_ms >= before.cost_ms).all()


def test_a_threshold_is_inclusive() -> None:
    """A confidence that equals the threshold of every head suffices."""
    thresholds = tuple(float(each) for each in _EVIDENCE.confidences[0, :, 0])
    policy = ExitPolicy((thresholds, (NEVER, NEVER), (ALWAYS, ALWAYS)), (False,) * 3)
    assert apply_policy(policy, _EVIDENCE).tier[0] == 0


def test_all_heads_must_be_sure() -> None:
    """One head that is not sure keeps an item from stopping."""
    policy = ExitPolicy(((ALWAYS, NEVER), (ALWAYS, ALWAYS), (ALWAYS, ALWAYS)), (False,) * 3)
    assert (apply_policy(policy, _EVIDENCE).tier == 1).all()


def test_a_skipped_tier_costs_nothing() -> None:
    """Everything that goes straight to the strongest tier pays for that tier alone."""
    exits = apply_policy(bypass(_EVIDENCE), _EVIDENCE)
    assert (exits.tier == 2).all()
    assert (exits.cost_ms == COSTS_MS[2]).all()


def test_the_entry_is_paid_once() -> None:
    """By every item, whichever tiers it visits; it changes neither the policies worth a look nor their order."""
    entered = replace(_EVIDENCE, entry_ms=7.0)
    assert (apply_policy(bypass(entered), entered).cost_ms == 7.0 + COSTS_MS[2]).all()
    assert oracle(entered).cost_ms == pytest.approx(7.0 + oracle(_EVIDENCE).cost_ms)
    plain, shifted = (
        find_frontier(each, GapPromise(0.05, 0.1), policies_per_tier=16, may_skip=True) for each in (_EVIDENCE, entered)
    )
    assert [each.policy for each in shifted] == [each.policy for each in plain]
    assert [each.cost_ms for each in shifted] == pytest.approx([7.0 + each.cost_ms for each in plain])
    for each in shifted:
        assert apply_policy(each.policy, entered).cost_ms.mean() == pytest.approx(each.cost_ms)


def test_an_unanswered_item_pays_all_tiers_and_the_person() -> None:
    """Below every threshold there is no answer, no loss, and the extra cost."""
    exits = apply_policy(ExitPolicy(((NEVER, NEVER),) * 3, (False,) * 3), _EVIDENCE, unanswered_cost_ms=500.0)
    assert (exits.tier == 3).all()
    assert (exits.cost_ms == sum(COSTS_MS) + 500.0).all()
    assert np.isnan(losses_at_exit(np.ones((3, 2, 60)), exits)).all()


def test_a_loss_is_that_of_the_tier_that_answers() -> None:
    """Each item's loss is looked up at its own tier."""
    policy = ExitPolicy(((0.6, 0.6), (0.9, 0.9), (ALWAYS, ALWAYS)), (False,) * 3)
    exits = apply_policy(policy, _EVIDENCE)
    losses = np.broadcast_to(np.arange(3.0)[:, None, None], (3, 2, 60))
    assert (losses_at_exit(losses, exits) == exits.tier).all()
