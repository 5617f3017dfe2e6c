"""Intervals by group, and the area under the curve that uses them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from training.group_bootstrap import auroc, estimate, group_draws, group_indices


@given(
    scores=arrays(np.float64, 30, elements=st.integers(0, 5)),
    positive=arrays(np.bool_, 30).filter(lambda each: 0 < each.sum() < 30),
)
def test_the_area_is_that_of_scikit_learn(scores: np.ndarray, positive: np.ndarray) -> None:  # type: ignore[type-arg]
    """With many ties too."""
    told = auroc(scores, positive, np.arange(30), draws=2)
    assert told.value == pytest.approx(roc_auc_score(positive, scores))


def test_an_area_needs_both_kinds() -> None:
    """Where every answer is right, nothing ranks the wrong ones."""
    assert math.isnan(auroc(np.arange(4.0), np.ones(4, dtype=bool), np.arange(4)).value)


def test_groups_widen_an_interval() -> None:
    """Ten copies of each photo teach nothing more than the photos do."""
    generator = np.random.default_rng(1)
    hits = (generator.random(100) < 0.8).repeat(10)

    def accuracy(weights: np.ndarray) -> float:  # type: ignore[type-arg]
        return float((weights * hits).sum() / weights.sum())

    alone = estimate(accuracy, np.arange(1000))
    grouped = estimate(accuracy, np.arange(100).repeat(10))
    assert alone.value == grouped.value == pytest.approx(hits.mean())
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """In 200 worlds of 60 independent photos, 95 % intervals hold the true share in at least 88 %."""
    held = 0
    for seed in range(200):
        hits = np.random.default_rng(seed).random(60) < 0.7

        def share(weights: np.ndarray, hits: np.ndarray = hits) -> float:  # type: ignore[type-arg]
            return float((weights * hits).sum() / weights.sum())

        told = estimate(share, np.arange(60), draws=200)
        held += told.low <= 0.7 <= told.high
    assert held >= 176


def test_every_draw_has_as_many_groups() -> None:
    """A draw repeats some groups and leaves others out."""
    for counts in group_draws(7, draws=5):
        assert counts.sum() == 7


def test_names_become_numbers() -> None:
    """Equal names share one."""
    assert group_indices(["b", "a", "b"]).tolist() == [1, 0, 1]
