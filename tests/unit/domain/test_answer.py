"""From raw outputs to calibrated answers, uncertainty and a recommendation."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SCALE, SHA, TASK, make_meaning, make_tier, temperature_of
from hypothesis import given
from hypothesis import strategies as st

from server.domain.answer import RecommendationBounds, answer_tier, confidences_to_decide, recommend
from server.domain.errors import CalibrationDataError
from server.domain.prediction import AttributesAnswer, CategoryAnswer, RawPrediction, Recommendation, Uncertainty
from server.domain.uncertainty import UncertaintyScale, fit_uncertainty_scale

RAW = RawPrediction(
    logits={
        "kind": np.array([0.0, 2.0, 1.0], dtype=np.float32),
        "grade": np.array([1.0, 1.0], dtype=np.float32),
        "signs": np.array([3.0, -3.0], dtype=np.float32),
    },
    feature_distance=50.5,
    logit_variance=0.25,
)
FAMILIAR = Uncertainty(0.5, 0.5, out_of_distribution=False)


def test_a_category_is_ranked_by_calibrated_confidence() -> None:
    """The first of the ranking is the label; equal labels keep the task's order."""
    answer = answer_tier(TASK, make_meaning(), RAW, TASK.head_ids)
    kind, grade = answer.answers["kind"], answer.answers["grade"]
    assert isinstance(kind, CategoryAnswer)
    assert isinstance(grade, CategoryAnswer)
    assert [each.label for each in kind.ranking] == ["wheat", "spelt", "rye"]
    assert kind.label == "wheat"
    assert kind.confidence == kind.ranking[0].confidence
    assert kind.raw_confidence == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))
    assert grade.label == "good"


def test_attributes_are_judged_one_by_one() -> None:
    """Present from a probability of one half."""
    answer = answer_tier(TASK, make_meaning(), RAW, ("signs",)).answers["signs"]
    assert isinstance(answer, AttributesAnswer)
    assert [(each.attribute, each.present) for each in answer.attributes] == [("crust", True), ("mould", False)]


def test_the_decision_heads_give_their_confidences() -> None:
    """Only they, by id."""
    confidences = answer_tier(TASK, make_meaning(), RAW, TASK.head_ids).decision_confidences(TASK)
    assert set(confidences) == {"kind", "grade"}
    assert confidences["grade"] == pytest.approx(0.5)


def test_deciders_decide_and_the_meaning_answers() -> None:
    """The threshold sees the confidence that it was tested with, even where another one is reported."""
    tier = replace(
        make_tier(), deciders={"kind": temperature_of(SHA, 0.5)}, meaning_at_exit=make_meaning(temperature=2)
    )
    decided = confidences_to_decide(TASK, tier, RAW)
    reported = {
        own: answer_tier(TASK, tier.meaning_of(is_own_exit=own), RAW, TASK.head_ids).decision_confidences(TASK)["kind"]
        for own in (True, False)
    }
    assert set(decided) == {"kind", "grade"}
    assert reported[True] < reported[False] < decided["kind"]


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.90, Recommendation.ACCEPT),
        (0.8999, Recommendation.LIKELY),
        (0.75, Recommendation.LIKELY),
        (0.60, Recommendation.RETAKE_SUGGESTED),
        (0.59, Recommendation.RETAKE_REQUIRED),
    ],
)
def test_the_weakest_decision_head_recommends(confidence: float, expected: Recommendation) -> None:
    """Bounds are inclusive, and a sure head does not help an unsure one."""
    assert recommend({"kind": 0.99, "grade": confidence}, FAMILIAR, RecommendationBounds()) is expected


@pytest.mark.parametrize(
    ("confidence", "low", "expected"),
    [
        (0.97, 0.75, Recommendation.ACCEPT),
        (0.97, 0.7499, Recommendation.LIKELY),
        (0.65, 0.10, Recommendation.RETAKE_SUGGESTED),
    ],
)
def test_an_answer_is_accepted_if_its_band_allows(confidence: float, low: float, expected: Recommendation) -> None:
    """Few labels vouch for a confidence whose band is wide; what is not accepted anyway stays as it was."""
    lows = {"kind": 0.98, "grade": low}
    assert recommend({"kind": 0.99, "grade": confidence}, FAMILIAR, RecommendationBounds(), lows) is expected


def test_a_stranger_is_never_accepted() -> None:
    """Confidence means nothing outside of the training data."""
    stranger = Uncertainty(1.0, 0.5, out_of_distribution=True)
    assert recommend({"kind": 1.0}, stranger, RecommendationBounds()) is Recommendation.RETAKE_REQUIRED


def test_recommendation_bounds_must_fall() -> None:
    """A bound above the next stronger one makes no sense."""
    with pytest.raises(ValueError, match="fall"):
        RecommendationBounds(accept=0.5, likely=0.6)


def test_uncertainty_is_a_share_of_known_photos() -> None:
    """Half the photos lie nearer than the median."""
    measured = SCALE.measure(RAW)
    assert measured.epistemic == pytest.approx(0.505)
    assert measured.aleatoric == pytest.approx(0.25)
    assert not measured.out_of_distribution


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_uncertainty_stays_in_its_range(distance: float, variance: float) -> None:
    """Whatever an engine puts out, NaN and infinity included, shares stay in [0, 1]."""
    measured = SCALE.measure(RawPrediction({}, distance, variance))
    assert 0 <= measured.epistemic <= 1
    assert 0 <= measured.aleatoric <= 1


def test_false_alarms_keep_their_rate() -> None:
    """At a stated rate of 5 %, at most 5 % plus 3 standard errors of 20,000 fresh photos raise an alarm."""
    generator = np.random.default_rng(7)
    scale = fit_uncertainty_scale(generator.normal(size=4000), generator.random(4000), false_alarm_rate=0.05)
    alarms = [
        scale.measure(RawPrediction({}, float(each), 0.0)).out_of_distribution for each in generator.normal(size=20_000)
    ]
    assert 0.03 < np.mean(alarms) < 0.05 + 3 * np.sqrt(0.05 * 0.95 * (1 / 4000 + 1 / 20_000))


def test_a_scale_needs_photos() -> None:
    """Percentiles of a handful of photos are refused."""
    with pytest.raises(CalibrationDataError, match="20 photos"):
        fit_uncertainty_scale(np.zeros(10), np.zeros(10), false_alarm_rate=0.05)


@pytest.mark.parametrize("quantiles", [(0.0,) * 5, tuple(range(101, 0, -1)), (float("nan"),) * 101])
def test_a_malformed_scale_is_refused(quantiles: tuple[float, ...]) -> None:
    """Too few, falling or NaN quantiles cannot come from a fit."""
    with pytest.raises(ValueError, match="quantiles"):
        UncertaintyScale(quantiles, SCALE.logit_variance_quantiles, 1.0, 0.05)
    with pytest.raises(ValueError, match="false_alarm_rate"):
        UncertaintyScale(SCALE.feature_distance_quantiles, SCALE.logit_variance_quantiles, 1.0, 0.0)
