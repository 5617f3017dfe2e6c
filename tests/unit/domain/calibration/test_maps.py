"""What every map keeps, whatever the logits."""

from collections.abc import Callable

import numpy as np
import pytest
from builders import platt_of, temperature_of
from calibration_world import ATTRIBUTE_MAPS, BINARY_MAPS, CATEGORY_MAPS, MONOTONE_MAPS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.domain.calibration.binary_maps import Beta, BinaryIdentity, BinaryMap, CentredIsotonic, Platt
from server.domain.calibration.calibrator import AttributeMaps, Calibrator, CategoryMap, HeadMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.top_label import TopLabel
from server.domain.task import Head, HeadKind

SHA = "b" * 64


def type_name(value: object) -> str:
    """Names a map in the name of a test."""
    return type(value).__name__


LOGITS = hnp.arrays(np.float32, (4, 3), elements=st.floats(-800, 800, width=32))


@pytest.mark.parametrize("category_map", CATEGORY_MAPS, ids=type_name)
@settings(max_examples=30)
@given(logits=LOGITS)
def test_probabilities_sum_to_one_and_are_never_certain(category_map: CategoryMap, logits: np.ndarray) -> None:
    """Whatever the logits, the probabilities of a category lie strictly inside (0, 1) and sum to 1."""
    probabilities = category_map.calibrate(logits)
    assert probabilities.sum(axis=-1) == pytest.approx(np.ones(4), abs=1e-12)
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize("binary_map", BINARY_MAPS, ids=type_name)
@settings(max_examples=30)
@given(scores=hnp.arrays(np.float64, 6, elements=st.floats(-1e4, 1e4)))
def test_a_binary_map_never_falls_and_is_never_certain(binary_map: BinaryMap, scores: np.ndarray) -> None:
    """A higher score never lowers the probability, which lies strictly inside (0, 1)."""
    probabilities = binary_map.calibrate(np.sort(scores))
    assert (np.diff(probabilities) >= -1e-15).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize("monotone_map", MONOTONE_MAPS, ids=type_name)
@settings(max_examples=30)
@given(logits=LOGITS)
def test_a_monotone_map_keeps_the_winner(monotone_map: CategoryMap, logits: np.ndarray) -> None:
    """The most probable label is one whose logit is the greatest, up to a tie in floating point."""
    chosen = monotone_map.calibrate(logits).argmax(axis=-1)
    assert (logits[np.arange(4), chosen] >= logits.max(axis=-1) - 1e-3).all()


@pytest.mark.parametrize("any_map", [*CATEGORY_MAPS, ATTRIBUTE_MAPS], ids=type_name)
@settings(max_examples=30)
@given(logits=LOGITS)
def test_one_item_is_calibrated_as_among_many(any_map: HeadMap, logits: np.ndarray) -> None:
    """The path of requests gives the numbers that fitting and measuring see.

    Logits lie on a grid: where two differ by less than rounding does, either may be taken for the winner.
    """
    logits = np.round(logits, 2)
    among_many = any_map.calibrate(logits)
    for item, expected in zip(logits, among_many, strict=True):
        assert any_map.calibrate_item(item.tolist()) == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.02, 1 / 3, 0.4, 0.5, 0.97])
def test_a_top_label_keeps_its_confidence_and_wins(confidence: float) -> None:
    """The winner gets its confidence, or 1/3 at least; the runner-up stays below it, the rest in order."""
    head_map = TopLabel(Identity(), CentredIsotonic((0.0,), (confidence,)))
    probabilities = head_map.calibrate(np.array([[2.0, 5.0, 4.9]]))[0]
    assert probabilities[1] == pytest.approx(max(confidence, 1 / 3), rel=2e-6)
    assert probabilities[1] > probabilities[2] >= probabilities[0]
    assert probabilities.sum() == pytest.approx(1.0)


def test_a_top_label_leaves_the_others_their_proportions() -> None:
    """Where the winner is sure enough, the others keep the proportions that they had."""
    head_map = TopLabel(Identity(), CentredIsotonic((0.0,), (0.7,)))
    others = head_map.calibrate(np.log([[0.5, 0.3, 0.2]]))[0, 1:]
    assert others == pytest.approx([0.18, 0.12])


def test_isotonic_goes_straight_between_centres() -> None:
    """Halfway between two centres the probability is halfway, and beyond the ends it is flat."""
    found = CentredIsotonic((-1.0, 1.0, 2.0), (0.2, 0.4, 0.9)).calibrate(np.array([-9.0, 0.0, 1.5, 9.0]))
    assert found == pytest.approx([0.2, 0.3, 0.65, 0.9])


@pytest.mark.parametrize(
    "make",
    [
        lambda: SmoothedTemperature(0.0, 0.1),
        lambda: SmoothedTemperature(float("nan"), 0.1),
        lambda: SmoothedTemperature(1.0, 0.0),
        lambda: SmoothedTemperature(1.0, 1.0),
        lambda: Platt(-0.1, 0.0, 0.01),
        lambda: Platt(float("inf"), 0.0, 0.01),
        lambda: Platt(1.0, float("nan"), 0.01),
        lambda: Platt(1.0, 0.0, 0.0),
        lambda: Platt(1.0, 0.0, 0.5),
        lambda: Beta(1.0, -0.1, 0.0, 0.01),
        lambda: CentredIsotonic((), ()),
        lambda: CentredIsotonic((0.0,), (0.5, 0.6)),
        lambda: CentredIsotonic((0.0, 0.0), (0.5, 0.6)),
        lambda: CentredIsotonic((0.0, float("nan")), (0.5, 0.6)),
        lambda: CentredIsotonic((0.0, 1.0), (0.6, 0.5)),
        lambda: CentredIsotonic((0.0, 1.0), (0.5, 1.0)),
        lambda: StructuredVector(SmoothedTemperature(1.0, 0.1), (1.0, 1.0), (0.0,)),
        lambda: StructuredVector(SmoothedTemperature(1.0, 0.1), (1.0, float("inf")), (0.0, 0.0)),
        lambda: StructuredMatrix(SmoothedTemperature(1.0, 0.1), ((1.0, 0.0),), (0.0, 0.0)),
        lambda: StructuredMatrix(SmoothedTemperature(1.0, 0.1), ((1.0, 0.0), (0.0, float("nan"))), (0.0, 0.0)),
        lambda: AttributeMaps(()),
        lambda: Calibrator(SHA, Identity(), 0),
    ],
)
def test_parameters_out_of_range_are_refused(make: Callable[[], object]) -> None:
    """Parameters that no fit gives are not accepted from a file either."""
    with pytest.raises(ValueError, match=r"must|needs|out of range"):
        make()


@pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
def test_a_logit_that_is_not_finite_is_refused(logit: float) -> None:
    """No probability is made up for an engine's output that is none, for one item or for many."""
    calibrator = temperature_of(SHA)
    with pytest.raises(ValueError, match="not finite"):
        calibrator.calibrate(np.array([[0.0, logit]]))
    with pytest.raises(ValueError, match="not finite"):
        calibrator.calibrate_item([0.0, logit])


def test_a_calibrator_says_which_head_it_cannot_serve() -> None:
    """Kind and size of a head must fit its map."""
    category = Head("kind", "Kind", HeadKind.CATEGORY, ("a", "b"))
    attributes = Head("signs", "Signs", HeadKind.ATTRIBUTES, ("a", "b"))
    vector = StructuredVector(SmoothedTemperature(1.0, 0.1), (1.0,) * 3, (0.0,) * 3)
    assert temperature_of(SHA).findings_for(category) == []
    assert temperature_of(SHA).findings_for(attributes)
    assert platt_of(SHA, 1.0).findings_for(category)
    assert platt_of(SHA, 1.0).findings_for(attributes) == ["the calibrator of head signs maps 1 of 2 labels"]
    assert platt_of(SHA, 1.0, 1.0).findings_for(attributes) == []
    assert Calibrator(SHA, vector, 9).findings_for(category) == ["the calibrator of head kind maps 3 of 2 labels"]


def test_a_calibrator_names_its_maps() -> None:
    """People read what takes part, each once."""
    mixed = AttributeMaps((Platt(1.0, 0.0, 0.1), BinaryIdentity(), Platt(2.0, 0.0, 0.1)))
    top = TopLabel(SmoothedTemperature(1.0, 0.1), Beta(1.0, 1.0, 0.0, 0.1))
    assert temperature_of(SHA).name == "smoothed_temperature"
    assert Calibrator(SHA, mixed, 9).name == "platt, identity"
    assert Calibrator(SHA, top, 9).name == "smoothed_temperature + beta"
