"""Bands and sets beside an answer: what is served, and what a release may not hold."""

from dataclasses import replace

import numpy as np
import pytest
from builders import TASK, make_release

from server.domain.answer import answer_head
from server.domain.assurance import AttributesAssurance, CategoryAssurance
from server.domain.bands import BandScope, ConfidenceBand
from server.domain.conformal import PredictionSets
from server.domain.errors import ReleaseRefusedError
from server.domain.prediction import AttributesAnswer, CategoryAnswer, ConfidenceInterval, LabelSet
from server.domain.release import Release

BAND = ConfidenceBand(BandScope.POINTWISE, 0.95, 500, knots=(0.0, 0.5), lows=(0.1, 0.4), highs=(0.6, 0.9))
SETS = PredictionSets(0.9, class_conditional=False, thresholds=(0.2,) * 3, item_counts=(500,) * 3)
CATEGORY = CategoryAssurance(BAND, SETS)
ATTRIBUTES = AttributesAssurance((BAND, BAND))


def logits_of(*probabilities: float) -> np.ndarray:
    """Returns logits whose softmax is this."""
    return np.log(np.array(probabilities)).astype(np.float32)


def vouching(**assurances: CategoryAssurance | AttributesAssurance) -> Release:
    """Returns a release whose tier has these assurances."""
    release = make_release("fast")
    [tier] = release.tiers
    return Release(release.task, release.number, (replace(tier, meaning=replace(tier.meaning, assurances=assurances)),))


def test_a_category_gets_its_interval_and_its_set() -> None:
    """The band at the confidence, and the labels that may be true, the answer first."""
    calibrator = make_release("fast").tiers[0].meaning.calibrators["kind"]
    answer = answer_head(TASK.head("kind"), calibrator, logits_of(0.05, 0.65, 0.30), CATEGORY)
    assert isinstance(answer, CategoryAnswer)
    assert answer.interval == ConfidenceInterval(0.4, 1.0, 0.95)
    labels = TASK.head("kind").labels
    assert answer.label_set == LabelSet((labels[1], labels[2]), 0.9)


def test_attributes_get_an_interval_each() -> None:
    """Around the probability that the attribute is present."""
    calibrator = make_release("fast").tiers[0].meaning.calibrators["signs"]
    answer = answer_head(TASK.head("signs"), calibrator, np.array([2.0, -2.0], dtype=np.float32), ATTRIBUTES)
    assert isinstance(answer, AttributesAnswer)
    for each in answer.attributes:
        assert each.interval == ConfidenceInterval(*BAND.interval(each.probability), 0.95)


def test_without_assurance_nothing_is_vouched_for() -> None:
    """An earlier release answers as it did."""
    calibrator = make_release("fast").tiers[0].meaning.calibrators["kind"]
    answer = answer_head(TASK.head("kind"), calibrator, logits_of(0.1, 0.6, 0.3))
    assert isinstance(answer, CategoryAnswer)
    assert answer.interval is None
    assert answer.label_set is None


def test_a_release_may_vouch() -> None:
    """For some heads or all."""
    assert vouching(kind=CATEGORY, signs=ATTRIBUTES).tiers[0].meaning.assurances["kind"] is CATEGORY


@pytest.mark.parametrize(
    ("assurances", "finding"),
    [
        ({"cheese": CATEGORY}, "no head"),
        ({"kind": ATTRIBUTES}, "kind has 2 bands"),
        ({"signs": CATEGORY}, "signs are for 3 labels"),
        ({"grade": CATEGORY}, "grade are for 3 labels"),
        ({"signs": AttributesAssurance((BAND,))}, "signs has 1 bands"),
    ],
)
def test_what_does_not_suit_its_head_is_refused(
    assurances: dict[str, CategoryAssurance | AttributesAssurance], finding: str
) -> None:
    """With the head's name."""
    with pytest.raises(ReleaseRefusedError, match=finding):
        vouching(**assurances)
