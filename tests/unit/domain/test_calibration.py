"""Calibrators against known truth, against scikit-learn, and at the edges."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression

from server.domain.calibration import (
    CalibrationDataError,
    PlattScaling,
    SmoothedTemperature,
    fit_platt_scaling,
    fit_smoothed_temperature,
    sigmoid,
    softmax,
)
from server.domain.task import Head, HeadKind

SHA = "b" * 64
LOGITS = hnp.arrays(np.float32, (4, 5), elements=st.floats(-800, 800, width=32))


def draw_labels(probabilities: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.int64]:
    """Draws one label an item from its true distribution."""
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    return (probabilities.cumsum(axis=1) < uniform).sum(axis=1).clip(max=probabilities.shape[1] - 1)


@pytest.mark.parametrize("truth", [0.3, 1.0, 4.0])
def test_a_known_temperature_is_recovered(truth: float) -> None:
    """On 20,000 labels drawn at a known temperature, the fitted one is within 5 %."""
    logits = np.random.default_rng(1).normal(size=(20_000, 5)) * 3
    labels = draw_labels(softmax(logits / truth), seed=2)
    fitted = fit_smoothed_temperature(logits, labels, engine_sha256=SHA)
    assert fitted.temperature == pytest.approx(truth, rel=0.05)


def test_the_fitted_temperature_minimises_the_log_loss() -> None:
    """No temperature on a fine grid has a lower log-loss."""
    logits = np.random.default_rng(3).normal(size=(500, 4)) * 2
    labels = draw_labels(softmax(logits / 1.7), seed=4)
    fitted = fit_smoothed_temperature(logits, labels, engine_sha256=SHA).temperature

    def loss(temperature: float) -> float:
        return -float(np.log(softmax(logits / temperature)[np.arange(500), labels]).mean())

    assert loss(fitted) <= min(loss(each) for each in np.geomspace(0.05, 20, 2000)) + 1e-9


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong_labels_still_give_a_temperature(right: bool) -> None:  # noqa: FBT001
    """Separable labels end at an end of the range instead of failing."""
    logits = np.eye(3)[[0, 1, 2, 0]] * 5
    labels = np.array([0, 1, 2, 0]) if right else np.array([1, 2, 0, 1])
    calibrator = fit_smoothed_temperature(logits, labels, engine_sha256=SHA)
    assert 0.019 < calibrator.temperature < 50.1
    assert np.isfinite(calibrator.calibrate(logits)).all()


@given(LOGITS, st.floats(0.02, 50), st.integers(1, 10_000))
def test_probabilities_sum_to_one_and_are_never_certain(
    logits: npt.NDArray[np.float32], temperature: float, count: int
) -> None:
    """Whatever the logits, smoothed probabilities lie strictly inside (0, 1)."""
    probabilities = SmoothedTemperature(SHA, temperature, count).calibrate(logits)
    assert probabilities.sum(axis=-1) == pytest.approx(np.ones(4))
    assert ((probabilities > 0) & (probabilities < 1)).all()


@given(LOGITS, st.floats(0.02, 50))
def test_a_temperature_keeps_the_label(logits: npt.NDArray[np.float32], temperature: float) -> None:
    """The logit of the most probable label is the greatest one."""
    probabilities = SmoothedTemperature(SHA, temperature, 1000).calibrate(logits)
    chosen = probabilities.argmax(axis=-1)
    assert (logits[np.arange(4), chosen] >= logits.max(axis=-1) - 1e-3).all()


def test_platt_scaling_equals_logistic_regression() -> None:
    """With many labels the smoothed targets vanish, and scikit-learn's unregularised fit agrees to 1 %."""
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(50_000, 1)) * 3 + 1
    present = generator.random((50_000, 1)) < sigmoid(0.6 * logits - 0.4)
    fitted = fit_platt_scaling(logits, present, engine_sha256=SHA)
    oracle = LogisticRegression(C=np.inf).fit(logits, present[:, 0])
    assert fitted.slopes[0] == pytest.approx(oracle.coef_[0, 0], rel=0.01)
    assert fitted.intercepts[0] == pytest.approx(oracle.intercept_[0], abs=0.01)


def test_an_attribute_that_the_logits_do_not_tell_gets_its_prior() -> None:
    """A slope below 0 would turn the meaning around: it becomes 0, and the map a constant."""
    logits = np.array([[3.0], [2.0], [-2.0], [-3.0]])
    fitted = fit_platt_scaling(logits, np.array([[False], [False], [True], [True]]), engine_sha256=SHA)
    assert fitted.slopes == (0.0,)
    assert fitted.calibrate(logits) == pytest.approx(np.full((4, 1), 0.5))


@pytest.mark.parametrize("present", [True, False])
def test_an_attribute_with_one_class_missing_stays_uncertain(present: bool) -> None:  # noqa: FBT001
    """Thirty labels that all agree never give certainty."""
    logits = np.random.default_rng(6).normal(size=(30, 1))
    fitted = fit_platt_scaling(logits, np.full((30, 1), present), engine_sha256=SHA)
    probabilities = fitted.calibrate(logits)
    assert ((probabilities > 0.9) == present).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_separable_attributes_stay_finite() -> None:
    """Perfectly separable logits end in a finite, steep map."""
    logits = np.concatenate([np.full((50, 1), -200.0), np.full((50, 1), 200.0)])
    fitted = fit_platt_scaling(logits, logits > 0, engine_sha256=SHA)
    probabilities = fitted.calibrate(logits)
    assert probabilities[0, 0] < 0.03
    assert probabilities[-1, 0] > 0.97


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=np.int64)),
        (np.zeros((2, 3)), np.zeros(3, dtype=np.int64)),
        (np.array([[0.0, np.nan]]), np.zeros(1, dtype=np.int64)),
        (np.zeros(3), np.zeros(3, dtype=np.int64)),
    ],
)
def test_malformed_data_are_refused(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> None:
    """Nothing is fitted on no items, on shapes that do not match, or on NaN."""
    with pytest.raises(CalibrationDataError):
        fit_smoothed_temperature(logits, labels, engine_sha256=SHA)


def test_attribute_labels_must_match_their_logits() -> None:
    """Ten logits and nine labels are an error, not a broadcast."""
    with pytest.raises(CalibrationDataError):
        fit_platt_scaling(np.zeros((4, 10)), np.zeros((4, 9), dtype=np.bool_), engine_sha256=SHA)


@pytest.mark.parametrize(("temperature", "count"), [(0.0, 10), (-1.0, 10), (np.nan, 10), (1.0, 0)])
def test_a_temperature_out_of_range_is_refused(temperature: float, count: int) -> None:
    """Parameters that no fit gives are not accepted from a file either."""
    with pytest.raises(ValueError, match="out of range"):
        SmoothedTemperature(SHA, temperature, count)


@pytest.mark.parametrize(
    ("slopes", "intercepts"), [((1.0,), ()), ((np.inf,), (0.0,)), ((-0.1,), (0.0,)), ((1.0,), (np.nan,))]
)
def test_platt_parameters_out_of_range_are_refused(slopes: tuple[float, ...], intercepts: tuple[float, ...]) -> None:
    """Parameters that no fit gives are not accepted from a file either."""
    with pytest.raises(ValueError, match="slope"):
        PlattScaling(SHA, slopes, intercepts, 10)


def test_a_calibrator_says_which_head_it_cannot_serve() -> None:
    """Kind and size of a head must fit its map."""
    category = Head("kind", "Kind", HeadKind.CATEGORY, ("a", "b"))
    attributes = Head("signs", "Signs", HeadKind.ATTRIBUTES, ("a", "b"))
    temperature, platt = SmoothedTemperature(SHA, 1.0, 9), PlattScaling(SHA, (1.0,), (0.0,), 9)
    assert temperature.findings_for(category) == []
    assert temperature.findings_for(attributes)
    assert platt.findings_for(category)
    assert platt.findings_for(attributes) == ["the calibrator of head signs maps 1 of 2 attributes"]
    assert PlattScaling(SHA, (1.0, 1.0), (0.0, 0.0), 9).findings_for(attributes) == []
