"""Tiers that answer together: their pool of opinions, and what a release may say about it."""

from dataclasses import replace

import numpy as np
import pytest
from builders import TASK, make_release, make_tier
from fakes import prediction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from build_engines.cascade_solver.fusion import TierFusion
from server.domain.calibration.probability import opened, softmax, softmax_item
from server.domain.cascade import OWN_PATH, plan_tiers
from server.domain.errors import ReleaseRefusedError
from server.domain.fusion import fuse, pool
from server.domain.release import Release, TierRelease


@given(
    arrays(np.float64, (3, 5), elements=st.floats(-30, 30)),
    st.lists(st.floats(0, 3), min_size=3, max_size=3),
)
def test_a_pool_is_the_builders(scores: np.ndarray, weights: list[float]) -> None:
    """The gateway's few floats are the builder's arrays."""
    probabilities = opened(softmax(scores))
    expected = TierFusion(((1.0,), (1.0, 0.0), tuple(weights))).fuse(probabilities[:, None])[-1, 0]
    assert softmax_item(pool(weights, probabilities.tolist())) == pytest.approx(expected.tolist(), abs=1e-9)


def test_a_tier_that_counts_alone_says_what_it_says_alone() -> None:
    """A weight of one and no other is the tier's own calibrated word."""
    fast, full = make_tier("fast"), replace(make_tier("full"), fusion={"kind": (0.0, 1.0)})
    fused = fuse([(fast, prediction(0.4)), (full, prediction(0.9))])
    assert set(fused) == {"kind"}
    own = full.decider("kind").calibrate_item(prediction(0.9).logits["kind"].tolist())
    assert softmax_item(fused["kind"]) == pytest.approx(own)


def test_a_tier_without_weights_speaks_alone() -> None:
    """Nothing is fused where nothing was fitted."""
    assert fuse([(make_tier("fast"), prediction()), (make_tier("full"), prediction())]) == {}


def fused_release(**fusion: tuple[float, ...]) -> Release:
    """A release of two tiers, of which the first can never stop and the second fuses so."""
    never = dict.fromkeys(TASK.decision_heads, 1.01)
    first, second = make_tier("fast", thresholds=never), make_tier("full", thresholds=never)
    return Release(TASK, 1, (first, replace(second, fusion=fusion, meaning_at_exit=second.meaning)))


def test_fused_answers_need_a_meaning() -> None:
    """The calibrators of a tier alone say nothing of what it says together with others."""
    with pytest.raises(ReleaseRefusedError, match="tier fast is fused, and what that means at its exit is missing"):
        Release(TASK, 1, (replace(make_tier("fast"), fusion={"kind": (1.0,)}),))


def test_no_tier_is_passed_over_whose_word_is_wanted() -> None:
    """A tier that cannot stop runs all the same where it counts; where nothing is fused, it does not."""

    def planned(release: Release) -> list[TierRelease]:
        return list(plan_tiers(release, OWN_PATH))

    assert [each.tier for each in planned(fused_release(kind=(0.5, 0.5)))] == ["fast", "full"]
    assert [each.tier for each in planned(fused_release())] == ["full"]


@pytest.mark.parametrize(
    ("fusion", "finding"),
    [
        ({"kind": (1.0,)}, "not by 2 weights"),
        ({"kind": (1.0, -0.1)}, "not by 2 weights"),
        ({"kind": (1.0, float("nan"))}, "not by 2 weights"),
        ({"signs": (0.5, 0.5)}, "fuses signs, which is no decision head"),
    ],
)
def test_weights_that_fit_no_tier_are_refused(fusion: dict[str, tuple[float, ...]], finding: str) -> None:
    """One weight a tier so far, none below 0, and only of what decides."""
    with pytest.raises(ReleaseRefusedError, match=finding):
        fused_release(**fusion)


def test_a_release_without_weights_is_not_fused() -> None:
    """What was released before tiers could answer together goes on as it was."""
    assert not make_release("fast", "full").is_fused
