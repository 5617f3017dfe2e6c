"""The choice of a map: it finds what the data need, and prefers the simple."""

import numpy as np
import pytest
from calibration_world import draw_labels

from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.cross_validation import Folds, MapKind, compare
from server.domain.calibration.probability import sigmoid, softmax
from server.domain.calibration.selection import MIN_LABELS, FittedHead, fit_best
from server.domain.calibration.top_label import TopLabel
from server.domain.errors import CalibrationDataError
from server.domain.task import Head, HeadKind

SHA = "c" * 64
CATEGORY = Head("kind", "Kind", HeadKind.CATEGORY, ("a", "b", "c"))
ATTRIBUTES = Head("signs", "Signs", HeadKind.ATTRIBUTES, ("x", "y"))


def category_logits(count: int, seed: int = 1) -> np.ndarray:
    """Logits of three labels."""
    return np.random.default_rng(seed).normal(size=(count, 3)) * 2


def fit(logits: np.ndarray, labels: np.ndarray, head: Head = CATEGORY, **options: object) -> FittedHead:
    """Fits with the digest that no test is about."""
    return fit_best(head, logits, labels, engine_sha256=SHA, **options)  # type: ignore[arg-type]


def test_honest_logits_are_left_alone() -> None:
    """Where the engine is calibrated already, nothing is fitted to noise."""
    logits = category_logits(600)
    assert fit(logits, draw_labels(softmax(logits), 2)).calibrator.map == Identity()


def test_sharp_logits_get_a_temperature() -> None:
    """Overconfidence alike in all labels needs no more than one number."""
    logits = category_logits(800)
    fitted = fit(3 * logits, draw_labels(softmax(logits), 3))
    assert isinstance(fitted.calibrator.map, SmoothedTemperature)
    assert fitted.calibrator.item_count == 800


def test_a_biased_label_gets_structured_scaling() -> None:
    """An engine that overrates one label is mended, unless the winner has to stay."""
    logits = category_logits(2_000)
    labels = draw_labels(softmax(logits), 4)
    biased = logits + np.array([2.0, 0.0, 0.0])
    free, kept = fit(biased, labels).calibrator.map, fit(biased, labels, monotone_only=True).calibrator.map
    base = free.base if isinstance(free, TopLabel) else free
    assert isinstance(base, StructuredVector | StructuredMatrix)
    assert (kept.calibrate(biased).argmax(axis=1) == biased.argmax(axis=1)).all()


def test_an_error_of_the_winner_alone_is_mended() -> None:
    """A winner that is right less often than any temperature says gets a map of its own confidence."""
    logits = category_logits(6_000)
    right = np.random.default_rng(5).random(6_000) < 0.5
    labels = np.where(right, logits.argmax(axis=1), np.argsort(logits, axis=1)[:, 1])
    fitted = fit(logits, labels, monotone_only=True)
    assert isinstance(fitted.calibrator.map, TopLabel)
    assert fitted.calibrator.calibrate(logits).max(axis=1).mean() == pytest.approx(right.mean(), abs=0.02)


@pytest.mark.parametrize("count", [1, 3, 19])
def test_few_labels_change_nothing(count: int) -> None:
    """Below the least number of labels, the engine's own probabilities are served."""
    fitted = fit(category_logits(count), np.zeros(count, dtype=np.int64))
    assert fitted.calibrator.map == Identity()
    assert fitted.comparisons == ()


def test_items_of_a_group_count_once() -> None:
    """Ten photos of each of 15 specimens are too few labels, though 150 items are there."""
    logits = np.repeat(category_logits(15), 10, axis=0)
    labels = draw_labels(softmax(logits / 4), 6)
    assert fit(logits, labels, groups=np.repeat(np.arange(15), 10)).calibrator.map == Identity()


def test_a_group_is_never_split() -> None:
    """All items of a group are left out together, and folds are even."""
    groups = np.random.default_rng(7).integers(0, 40, 400)
    folds = Folds.deal(groups, item_count=400, seed=8)
    assert all(len(set(folds.fold_of[groups == each])) == 1 for each in range(40))
    sizes = [len(set(groups[folds.fold_of == each])) for each in range(5)]
    assert max(sizes) - min(sizes) <= 1


def test_each_kind_has_a_least_number_of_labels() -> None:
    """What takes part in the choice is what the labels suffice for."""
    logits = category_logits(5_000)
    labels = draw_labels(softmax(logits / 2), 9)
    for count in (50, 250, 5_000):
        fitted = fit(logits[:count], labels[:count])
        took_part = {loss.kind for comparison in fitted.comparisons for loss in comparison.losses}
        assert all(count >= MIN_LABELS[each] for each in took_part)
    assert took_part == set(MapKind)


def test_near_ties_go_to_the_simpler_kind() -> None:
    """Better by less than one standard error is not better; better by more is."""
    noise = np.random.default_rng(10).normal(size=1_000)
    folds = Folds.deal(None, item_count=1_000, seed=0)
    kinds = (MapKind.IDENTITY, MapKind.TEMPERATURE)
    near = compare("labels", kinds, np.stack([np.full(1_000, 0.52), 0.5 + (noise - noise.mean())]), folds)
    far = compare("labels", kinds, np.stack([np.full(1_000, 0.55), 0.5 + (noise - noise.mean())]), folds)
    assert (near.chosen, far.chosen) == (MapKind.IDENTITY, MapKind.TEMPERATURE)
    assert near.losses[0].excess == pytest.approx(0.02)
    assert near.losses[0].excess_error == pytest.approx(1 / 1_000**0.5, rel=0.1)


def test_groups_widen_the_standard_error() -> None:
    """Four copies of every item say no more than one of each."""
    losses = np.random.default_rng(11).normal(size=(2, 300))
    kinds = (MapKind.IDENTITY, MapKind.PLATT)
    single = compare("winner", kinds, losses, Folds.deal(None, item_count=300, seed=0))
    groups = np.repeat(np.arange(300), 4)
    copied = compare("winner", kinds, np.repeat(losses, 4, axis=1), Folds.deal(groups, item_count=1_200, seed=0))
    assert [each.excess_error for each in copied.losses] == pytest.approx([each.excess_error for each in single.losses])


@pytest.mark.parametrize("kind", list(MapKind))
def test_a_kind_can_be_asked_for_by_name(kind: MapKind) -> None:
    """What is asked for is fitted, whatever the number of labels; on the winner where it maps one score."""
    logits = category_logits(60)
    fitted = fit(logits, draw_labels(softmax(logits / 2), 12), kind=MapKind(kind.value))
    own = fitted.calibrator.map
    assert kind.value in (own.kind, own.confidence.kind if isinstance(own, TopLabel) else "")


def test_a_kind_that_does_not_suit_is_refused() -> None:
    """A temperature has no place on attributes, nor a matrix where the winner must stay."""
    logits, labels = category_logits(60), np.zeros(60, dtype=np.int64)
    with pytest.raises(CalibrationDataError, match="does not suit"):
        fit(logits[:, :2], np.zeros((60, 2), dtype=np.int64), ATTRIBUTES, kind=MapKind.TEMPERATURE)
    with pytest.raises(CalibrationDataError, match="may change"):
        fit(logits, labels, kind=MapKind.STRUCTURED_MATRIX, monotone_only=True)


def test_each_attribute_has_its_own_choice() -> None:
    """An honest attribute is hardly touched while its overconfident neighbour is mended."""
    generator = np.random.default_rng(13)
    scores = generator.normal(0, 2, (1_500, 2))
    present = generator.random((1_500, 2)) < sigmoid(scores)
    logits = scores * [1.0, 3.0]
    fitted = fit(logits, present.astype(np.int64), ATTRIBUTES)
    errors = np.abs(fitted.calibrator.calibrate(logits) - sigmoid(scores)).mean(axis=0)
    assert errors[0] < 0.005
    assert errors[1] < 0.02 < np.abs(sigmoid(logits) - sigmoid(scores)).mean(axis=0)[1]
    assert [each.question for each in fitted.comparisons] == ["x", "y"]


def test_photos_of_a_specimen_do_not_make_an_attribute_surer() -> None:
    """Eight copies of each item ask for much the same map as one of each: as specimens, not as photos."""
    generator = np.random.default_rng(16)
    scores = generator.normal(0, 2, (80, 2))
    present = (generator.random((80, 2)) < sigmoid(scores - 0.6)).astype(np.int64)
    copies = [np.repeat(each, 8, axis=0) for each in (scores, present)]
    single = fit(scores, present, ATTRIBUTES)
    grouped = fit(*copies, ATTRIBUTES, groups=np.repeat(range(80), 8))
    ungrouped = fit(*copies, ATTRIBUTES)
    middle = np.linspace(-1, 1, 5)[:, None].repeat(2, axis=1)
    own, same, surer = (each.calibrator.calibrate(middle) for each in (single, grouped, ungrouped))
    assert 3 * np.abs(same - own).max() < np.abs(surer - own).max()


@pytest.mark.parametrize("present", [0, 1])
def test_an_attribute_of_one_kind_gets_its_smoothed_share(present: int) -> None:
    """Labels that all agree are not taken for certainty, and say so by an empty comparison."""
    fitted = fit(np.zeros((40, 2)), np.full((40, 2), present), ATTRIBUTES)
    assert fitted.calibrator.calibrate(np.zeros((1, 2)))[0, 0] == pytest.approx(abs(present - 1 / 42), abs=1e-3)
    assert fitted.comparisons[0].losses == ()


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong_are_answered(right: bool) -> None:  # noqa: FBT001
    """A head that never errs, or always does, gets a map whose confidence says so without certainty."""
    logits = category_logits(1_200)
    labels = (logits.argmax(axis=1) + (0 if right else 1)) % 3
    probabilities = fit(logits, labels).calibrator.calibrate(logits)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    likelihood = probabilities[np.arange(1_200), labels].mean()
    assert likelihood > (0.95 if right else 0.4)


def test_the_same_items_give_the_same_map() -> None:
    """The seed alone deals the folds."""
    logits = category_logits(1_500)
    labels = draw_labels(softmax(logits / 2), 14)
    assert fit(logits, labels, seed=3) == fit(logits, labels, seed=3)


@pytest.mark.parametrize(
    ("logits", "groups"), [(np.zeros((30, 2)), None), (np.zeros(30), None), (np.zeros((30, 3)), np.zeros(29))]
)
def test_items_that_do_not_fit_the_head_are_refused(logits: np.ndarray, groups: np.ndarray | None) -> None:
    """Two logits for three labels, or groups that are not as many as items, are an error."""
    with pytest.raises(CalibrationDataError):
        fit(logits, np.zeros(30, dtype=np.int64), groups=groups)
