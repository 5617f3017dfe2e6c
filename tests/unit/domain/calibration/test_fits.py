"""Fits against known truth, against scikit-learn and scipy, and at the edges."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from calibration_world import draw_labels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize, root
from scipy.stats import entropy
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from server.domain.calibration.binary_fit import LogisticMap, fit_beta, fit_centred_isotonic, fit_platt, shrunk
from server.domain.calibration.binary_maps import BinaryIdentity, BinaryMap, Platt
from server.domain.calibration.calibrator import HeadMap
from server.domain.calibration.category_fit import (
    fit_smoothed_temperature,
    fit_structured_matrix,
    fit_structured_vector,
)
from server.domain.calibration.probability import DoubleArray, sigmoid, softmax
from server.domain.errors import CalibrationDataError

Fit = Callable[[DoubleArray, np.ndarray], HeadMap]
BinaryFit = Callable[[DoubleArray, np.ndarray], BinaryMap]
LogisticFit = Callable[[DoubleArray, np.ndarray], LogisticMap]


def loss_of(probabilities: DoubleArray, labels: np.ndarray) -> float:
    """The mean log-loss."""
    return -float(np.log(probabilities[np.arange(len(labels)), labels]).mean())


def binary_world(seed: int, count: int) -> tuple[DoubleArray, np.ndarray]:
    """Scores, and hits drawn at the log-odds `0.6 score + 0.4`."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 3, count)
    return scores, generator.random(count) < sigmoid(0.6 * scores + 0.4)


def smoothed(hits: np.ndarray) -> DoubleArray:
    """Platt's targets."""
    positives, negatives = hits.sum(), (~hits).sum()
    return np.where(hits, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def deviations(fitted: LogisticMap) -> DoubleArray:
    """How far its parameters are from those of no map."""
    slopes = (fitted.slope,) if isinstance(fitted, Platt) else (fitted.rise, fitted.fall)
    return np.array([*(each - 1.0 for each in slopes), fitted.intercept])


@pytest.mark.parametrize("truth", [0.3, 1.0, 4.0])
def test_a_known_temperature_is_recovered(truth: float) -> None:
    """On 20,000 labels drawn at a known temperature, the fitted one is within 5 %."""
    logits = np.random.default_rng(1).normal(size=(20_000, 5)) * 3
    fitted = fit_smoothed_temperature(logits, draw_labels(softmax(logits / truth), 2))
    assert fitted.temperature == pytest.approx(truth, rel=0.05)


def test_the_temperature_minimises_the_log_loss() -> None:
    """It is the one that scipy finds."""
    logits = np.random.default_rng(3).normal(size=(500, 4)) * 2
    labels = draw_labels(softmax(logits / 1.7), 4)
    found = minimize(lambda x: loss_of(softmax(logits * x[0]), labels), [1.0], method="Nelder-Mead", tol=1e-13)
    assert fit_smoothed_temperature(logits, labels).temperature == pytest.approx(1 / found.x[0], rel=1e-6)


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong_labels_still_give_maps(right: bool) -> None:  # noqa: FBT001
    """Separable labels end at an end of the range instead of failing."""
    logits = np.eye(3)[[0, 1, 2, 0]] * 5
    labels = np.array([0, 1, 2, 0]) if right else np.array([1, 2, 0, 1])
    assert 0.019 < fit_smoothed_temperature(logits, labels).temperature < 50.1
    for fit in (fit_structured_vector, fit_structured_matrix):
        probabilities = fit(logits, labels).calibrate(logits)
        assert np.isfinite(probabilities).all()
        assert (probabilities.argmax(axis=1) == labels).all() or not right


@pytest.mark.parametrize(("fit", "off_diagonal"), [(fit_structured_vector, None), (fit_structured_matrix, 2.0)])
def test_structured_scaling_is_what_scipy_finds(fit: Fit, off_diagonal: float | None) -> None:
    """Where scipy finds the penalised log-loss level, there is the fitted map, probabilities to 1e-9."""
    logits = np.random.default_rng(5).normal(size=(400, 3)) * 2
    labels = draw_labels(softmax(logits * [1.0, 0.5, 1.5] + [0.5, 0, 0]), 6)
    entered = np.log(fit_smoothed_temperature(logits, labels).calibrate(logits))
    design, start = np.column_stack([entered, np.ones(400)]), np.eye(3, 4)
    penalties = np.where(np.eye(3, 4) > 0, 1.0, off_diagonal or 0.0)
    penalties[:, 3] = 1.0
    free = penalties > 0

    def slopes(point: DoubleArray) -> DoubleArray:
        change = np.zeros((3, 4))
        change[free] = point
        residuals = softmax(design @ (start + change).T) - np.eye(3)[labels]
        return (residuals.T @ design / 400 + 2 * 3 / 400 * penalties * change)[free]

    found = root(slopes, np.zeros(int(free.sum())), tol=1e-14)
    weights = start.copy()
    weights[free] += found.x
    assert np.abs(fit(logits, labels).calibrate(logits) - softmax(design @ weights.T)).max() < 1e-9


def test_few_labels_leave_the_temperature_as_it_is() -> None:
    """The distance from plain temperature scaling grows with the labels that ask for it."""
    logits = np.random.default_rng(8).normal(size=(5_000, 4)) * 2
    labels = draw_labels(softmax(logits * [1.0, 0.5, 1.5, 1.0]), 9)
    moved = [max(abs(each - 1) for each in fit_structured_vector(logits[:n], labels[:n]).scales) for n in (8, 5_000)]
    assert moved[0] < 0.5 * moved[1]


def test_structured_scaling_recovers_the_truth() -> None:
    """With 20,000 labels the log-loss is within .001 of the truth's, where a temperature is not."""
    logits = np.random.default_rng(10).normal(size=(20_000, 3)) * 2
    mixing = np.array([[1.2, 0.3, 0.0], [0.0, 0.7, -0.2], [0.1, 0.0, 1.0]])
    truth = softmax(np.log(softmax(logits)) @ mixing + [0.5, 0.0, -0.5])
    labels = draw_labels(truth, 11)
    assert loss_of(fit_structured_matrix(logits, labels).calibrate(logits), labels) < loss_of(truth, labels) + 1e-3
    assert loss_of(fit_smoothed_temperature(logits, labels).calibrate(logits), labels) > loss_of(truth, labels) + 1e-2


def test_a_missing_class_keeps_a_probability() -> None:
    """A label that no item has is made improbable, not impossible."""
    logits = np.random.default_rng(12).normal(size=(300, 4))
    labels = draw_labels(softmax(logits), 13) % 3
    for fit in (fit_smoothed_temperature, fit_structured_vector, fit_structured_matrix):
        assert (fit(logits, labels).calibrate(logits)[:, 3] > 0).all()


def test_platt_agrees_with_scikit_learn() -> None:
    """On Platt's smoothed targets, probabilities agree with scikit-learn's logistic regression to 1e-6."""
    scores, hits = binary_world(14, 800)
    targets = smoothed(hits)
    fitted = fit_platt(scores, hits)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    oracle.fit(
        np.tile(scores, 2)[:, None], np.repeat([1, 0], 800), sample_weight=np.concatenate([targets, 1 - targets])
    )
    assert fitted.slope == pytest.approx(oracle.coef_[0, 0], abs=1e-6)
    assert fitted.intercept == pytest.approx(oracle.intercept_[0], abs=1e-6)


@pytest.mark.parametrize("seed", [15, 16, 17])
def test_logistic_maps_are_at_their_minimum(seed: int) -> None:
    """At the fitted map the slope of the log-loss is 0 to 1e-9; where a weight is held at 0 it points outwards."""
    scores, hits = binary_world(seed, 300)
    residuals = smoothed(hits)
    platt, beta = fit_platt(scores, hits), fit_beta(scores, hits)
    wrong = sigmoid(scores * platt.slope + platt.intercept) - residuals
    assert abs(wrong.mean()) < 1e-9
    assert abs((wrong * scores).mean()) < 1e-9
    logs = np.stack([-np.logaddexp(0, -scores), np.logaddexp(0, scores)])
    wrong = sigmoid(beta.rise * logs[0] + beta.fall * logs[1] + beta.intercept) - residuals
    assert abs(wrong.mean()) < 1e-9
    for weight, slope in zip((beta.rise, beta.fall), (wrong * logs).mean(axis=1), strict=True):
        assert abs(slope) < 1e-9 if weight > 0 else slope > 0


def test_beta_recovers_the_truth() -> None:
    """Weights that differ are recovered within 10 % from 20,000 labels."""
    generator = np.random.default_rng(18)
    scores = generator.normal(0, 3, 20_000)
    odds = -0.5 * np.logaddexp(0, -scores) + 1.5 * np.logaddexp(0, scores) - 0.4
    fitted = fit_beta(scores, generator.random(20_000) < sigmoid(odds))
    assert (fitted.rise, fitted.fall, fitted.intercept) == pytest.approx((0.5, 1.5, -0.4), rel=0.1, abs=0.05)


@pytest.mark.parametrize(("fit", "parameter_count"), [(fit_platt, 2), (fit_beta, 3)])
def test_a_map_keeps_what_chance_does_not_explain(fit: LogisticFit, parameter_count: int) -> None:
    """Every parameter moves towards the engine's own by one factor, which scikit-learn's log-losses give."""
    scores = np.random.default_rng(21).normal(0, 2, 400)
    hits = np.random.default_rng(22).random(400) < sigmoid(0.7 * scores + 0.3)
    fitted = fit(scores, hits)
    untouched, mapped = (log_loss(hits, each, normalize=False) for each in (sigmoid(scores), fitted.calibrate(scores)))
    for independent_share in (1.0, 0.5):
        kept = 1 - parameter_count / (2 * independent_share * (untouched - mapped))
        assert 0.2 < kept < 0.95
        moved = shrunk(fitted, scores, hits, independent_share=independent_share)
        assert deviations(moved) == pytest.approx(kept * deviations(fitted), rel=1e-4)


@pytest.mark.parametrize("fit", [fit_platt, fit_beta])
def test_nothing_is_kept_of_what_chance_brings(fit: LogisticFit) -> None:
    """Labels that gain a map less than chance leave the engine's own probabilities."""
    scores = np.random.default_rng(23).normal(0, 2, 2_000)
    hits = np.random.default_rng(24).random(2_000) < sigmoid(scores)
    moved = shrunk(fit(scores, hits), scores, hits, independent_share=0.1)
    assert (deviations(moved) == 0).all()


@pytest.mark.parametrize("count", [50, 200, 1_000])
def test_shrunk_maps_are_nearer_to_the_truth(count: int) -> None:
    """Of engines from right to far off: nearer on average than the fitted map and than none, nowhere much farther."""
    divergences = []
    for standard_errors in (0, 1, 2, 4, 8):
        error = standard_errors / count**0.5
        for seed in range(200):
            scores = np.random.default_rng(seed).normal(-1, 2, count)
            truth = sigmoid((1 - 0.8 * error) * scores - 1.2 * error)
            hits = np.random.default_rng(1_000 + seed).random(count) < truth
            fitted = fit_platt(scores, hits)
            maps = (shrunk(fitted, scores, hits, independent_share=1.0), fitted, BinaryIdentity())
            divergences.append(
                [entropy([truth, 1 - truth], [p, 1 - p]).mean() for p in (m.calibrate(scores) for m in maps)]
            )
    ours, as_fitted, untouched = np.reshape(divergences, (5, 200, 3)).mean(axis=1).T
    assert ours.mean() < min(0.85 * as_fitted.mean(), untouched.mean())
    assert (ours < 1.35 * as_fitted).all()


@pytest.mark.parametrize("fit", [fit_platt, fit_beta])
def test_a_map_never_turns_around(fit: BinaryFit) -> None:
    """Scores that say the opposite of the labels get the labels' share, not a falling map."""
    scores, hits = binary_world(19, 400)
    probabilities = fit(-scores, hits).calibrate(np.array([-5.0, 5.0]))
    assert probabilities[0] == pytest.approx(probabilities[1])
    assert probabilities[0] == pytest.approx(hits.mean(), abs=0.01)


@pytest.mark.parametrize("fit", [fit_platt, fit_beta, fit_centred_isotonic])
@pytest.mark.parametrize("hit", [True, False])
def test_labels_that_all_agree_never_give_certainty(fit: BinaryFit, hit: bool) -> None:  # noqa: FBT001
    """Thirty hits, or thirty misses, give what 30 labels can tell."""
    scores = np.random.default_rng(20).normal(size=30)
    probabilities = fit(scores, np.full(30, hit)).calibrate(scores)
    assert ((probabilities > 0.9) if hit else (probabilities < 0.1)).all()
    assert ((probabilities >= 1 / 32 - 1e-12) & (probabilities <= 31 / 32 + 1e-12)).all()


@pytest.mark.parametrize("fit", [fit_platt, fit_beta, fit_centred_isotonic])
def test_separable_and_extreme_scores_stay_finite(fit: BinaryFit) -> None:
    """Perfectly separable scores, far out, end in a finite, steep map."""
    scores = np.concatenate([np.full(50, -200.0), np.full(50, 200.0)])
    probabilities = fit(scores, scores > 0).calibrate(scores)
    assert probabilities[0] < 0.03
    assert probabilities[-1] > 0.97


@given(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 5).map(float)),
    st.randoms(use_true_random=False),
)
def test_isotonic_blocks_are_those_of_scikit_learn(scores: DoubleArray, random: Random) -> None:
    """Each centre is the mean score of a block of scikit-learn's fit, and its probability the block's share."""
    hits = np.array([random.random() < 0.5 for _ in scores])
    fitted = fit_centred_isotonic(scores, hits)
    shares = IsotonicRegression().fit(scores, hits.astype(float)).predict(scores).round(12)
    expected = [scores[shares == each].mean() for each in np.unique(shares)]
    margin = 1 / (len(scores) + 2)
    assert fitted.centres == pytest.approx(expected, abs=1e-9)
    assert fitted.probabilities == pytest.approx(np.clip(np.unique(shares), margin, 1 - margin), abs=1e-9)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=np.int64)),
        (np.zeros((2, 3)), np.zeros(3, dtype=np.int64)),
        (np.array([[0.0, np.nan]]), np.zeros(1, dtype=np.int64)),
        (np.zeros(3), np.zeros(3, dtype=np.int64)),
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.zeros((2, 3)), np.array([0, -1])),
        (np.zeros((2, 1)), np.zeros(2, dtype=np.int64)),
    ],
)
def test_malformed_items_are_refused(logits: DoubleArray, labels: np.ndarray) -> None:
    """Nothing is fitted on no items, on shapes that do not match, on NaN, or on labels that do not exist."""
    for fit in (fit_smoothed_temperature, fit_structured_vector, fit_structured_matrix):
        with pytest.raises(CalibrationDataError):
            fit(logits, labels)
