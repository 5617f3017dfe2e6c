"""Prediction sets and verdicts: what they hold, and what they do when labels are few."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from server.domain.conformal import (
    AttributeVerdicts,
    PredictionSets,
    Verdict,
    conformal_rank,
    coverage_range,
    fit_attribute_verdicts,
    fit_class_conditional_sets,
    fit_marginal_sets,
    fit_prediction_sets,
)
from server.domain.errors import CalibrationDataError

NAN = float("nan")


def labelled(seed: int, count: int, label_count: int = 4, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of a known truth, and labels drawn from them."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(label_count, 0.4 / sharpness), count)
    labels = (probabilities.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1).clip(max=label_count - 1)
    return probabilities, labels.astype(np.int64)


def test_threshold_is_the_rank_of_the_definition() -> None:
    """Of 9 items at 80 %, the 8 most probable true labels are covered; none of them is the answer here."""
    true = np.array([0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45])
    probabilities = np.stack([true, 1 - true], axis=1)
    sets = fit_marginal_sets(probabilities, np.zeros(9, dtype=np.int64), coverage=0.8)
    assert sets.thresholds == (0.10, 0.10)


def test_rank_counts_the_item_to_come() -> None:
    """90 % of 9 items and one to come are 9; of 8 and one, 9 again, which is more than there are."""
    assert (conformal_rank(9, 0.9), conformal_rank(8, 0.9), conformal_rank(99, 0.95)) == (9, 9, 95)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 300), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_sets_hold_their_answer_first(seed: int, count: int, coverage: float) -> None:
    """No set is empty, and its first label is the most probable one."""
    sets = fit_prediction_sets(*labelled(seed, count), coverage=coverage)
    for probabilities in labelled(seed + 1, 20)[0]:
        assert sets.labels_in(probabilities.tolist())[0] == probabilities.argmax()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_one_item_and_many_give_the_same_sets(seed: int, count: int) -> None:
    """The path of requests and the path of reports agree."""
    sets = fit_prediction_sets(*labelled(seed, count))
    probabilities = labelled(seed + 1, 20)[0]
    many = [set(np.flatnonzero(row)) for row in sets.membership(probabilities)]
    assert [set(sets.labels_in(each.tolist())) for each in probabilities] == many


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 300), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_higher_coverage_never_gives_smaller_sets(seed: int, count: int, one: float, other: float) -> None:
    """Every label of a set is in the set of higher coverage."""
    probabilities, labels = labelled(seed, count)
    low, high = (fit_marginal_sets(probabilities, labels, coverage=each) for each in sorted([one, other]))
    assert (low.membership(probabilities) <= high.membership(probabilities)).all()


def test_too_few_items_give_full_sets() -> None:
    """Eight items cannot leave out a label at 90 %."""
    sets = fit_prediction_sets(*labelled(1, 8))
    assert sets.labels_in([0.97, 0.01, 0.01, 0.01]) == (0, 1, 2, 3)


def test_few_labels_of_a_class_are_pooled() -> None:
    """Sets are class-conditional only if every class has 50 items."""
    probabilities, labels = labelled(2, 400)
    kept = (labels != 3) | (np.cumsum(labels == 3) < 50)
    pooled = fit_prediction_sets(probabilities[kept], labels[kept])
    assert (fit_prediction_sets(probabilities, labels).class_conditional, pooled.class_conditional) == (True, False)


def test_a_class_without_labels_is_in_every_set() -> None:
    """Asked for class-conditional sets, a label that nobody has seen is never left out."""
    probabilities, labels = labelled(3, 400)
    kept = labels != 2
    sets = fit_class_conditional_sets(probabilities[kept], labels[kept])
    assert (sets.thresholds[2], sets.item_counts[2]) == (0.0, 0)
    assert 2 in sets.labels_in([1.0, 0.0, 0.0, 0.0])


def test_one_item_of_each_group_is_counted() -> None:
    """Five photos of each specimen say what one does."""
    probabilities, labels = labelled(4, 300)
    copied = fit_marginal_sets(
        np.repeat(probabilities, 5, axis=0), np.repeat(labels, 5), groups=np.repeat(np.arange(300), 5)
    )
    assert copied == fit_marginal_sets(probabilities, labels)


def test_a_right_model_needs_only_its_answer() -> None:
    """Where the answer is right more often than asked, the set is the answer."""
    probabilities = np.tile([0.6, 0.4], (500, 1))
    labels = (np.arange(500) % 20 == 0).astype(np.int64)
    assert fit_marginal_sets(probabilities, labels).labels_in([0.55, 0.45]) == (0,)


def test_a_nan_puts_all_labels_in() -> None:
    """Of a probability that is no number nothing is known."""
    sets = PredictionSets(0.9, False, (0.5, 0.5, 0.5), (99, 99, 99))
    assert sets.labels_in([0.9, NAN, 0.05]) == (0, 1, 2)
    assert sets.membership(np.array([[0.9, NAN, 0.05]])).all()


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, dtype=np.int64)),
        (np.array([[NAN, 0.5]]), np.array([0])),
        (np.array([[0.5, 1.5]]), np.array([0])),
        (np.array([[0.5, 0.5]]), np.array([2])),
        (np.array([[0.5, 0.5]]), np.array([-1])),
        (np.array([[0.5, 0.5]]), np.array([0, 1])),
        (np.array([0.5, 0.5]), np.array([0, 1])),
    ],
)
def test_malformed_items_are_refused(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """No items, no numbers, no such label, or shapes that do not match."""
    with pytest.raises(CalibrationDataError):
        fit_prediction_sets(probabilities, labels)


@pytest.mark.parametrize("coverage", [0.0, 1.0, NAN])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    """Nobody can promise everything, and nothing needs no promise."""
    with pytest.raises(CalibrationDataError, match="coverage"):
        fit_prediction_sets(*labelled(1, 50), coverage=coverage)


@pytest.mark.parametrize(
    "fields",
    [
        (1.0, False, (0.1, 0.1), (9, 9)),
        (0.9, False, (0.1,), (9,)),
        (0.9, False, (0.1, 0.1), (9,)),
        (0.9, False, (0.1, 0.2), (9, 9)),
        (0.9, True, (0.1, NAN), (9, 9)),
        (0.9, True, (0.1, 0.2), (9, -1)),
    ],
)
def test_sets_check_their_numbers(fields: tuple) -> None:
    """What a file says is refused if it cannot be."""
    with pytest.raises(ValueError, match=r"must lie|thresholds|threshold"):
        PredictionSets(*fields)


@settings(max_examples=60)
@given(st.integers(1, 5_000), st.floats(0.05, 0.99))
def test_coverage_range_is_that_of_the_beta_distribution(count: int, coverage: float) -> None:
    """The quantiles agree with scipy to 1e-9; where there are too few items everything is covered."""
    rank = conformal_rank(count, coverage)
    expected = (1.0, 1.0) if rank > count else stats.beta.ppf([0.025, 0.975], rank, count + 1 - rank)
    assert coverage_range(count, coverage) == pytest.approx(tuple(expected), abs=1e-9)


def test_real_coverage_lies_in_its_range() -> None:
    """Fit 400 times on 200 items: in about 95 % the coverage on many items lies in the stated range."""
    probabilities, labels = labelled(7, 20_000, sharpness=0.3)
    inside = 0
    for seed in range(400):
        drawn = np.random.default_rng(seed).integers(0, 20_000, 200)
        sets = fit_marginal_sets(probabilities[drawn], labels[drawn])
        low, high = sets.coverage_range(0)
        inside += low <= sets.membership(probabilities)[np.arange(20_000), labels].mean() <= high
    assert 365 <= inside <= 393


def attributes(seed: int, count: int, prevalence: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Two attributes of a known truth: calibrated probabilities, and whether they are present."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(prevalence, 1 - prevalence, (count, 2))
    return probabilities, (generator.random((count, 2)) < probabilities).astype(np.int64)


def test_verdicts_keep_the_error_rate_on_both_sides() -> None:
    """On 20,000 new items, of the present few are called absent and of the absent few present, averaged over fits."""
    probabilities, labels = attributes(1, 20_000)
    missed, invented = [], []
    for seed in range(60):
        verdicts = fit_attribute_verdicts(*attributes(100 + seed, 300), error_rate=0.1)
        below = probabilities < np.array(verdicts.absent_below)
        above = probabilities > np.array(verdicts.present_above)
        missed.append(below[labels == 1].mean())
        invented.append(above[labels == 0].mean())
    assert 0.07 < np.mean(missed) < 0.105
    assert 0.07 < np.mean(invented) < 0.105


def test_verdicts_turn_at_their_thresholds() -> None:
    """At a threshold itself nobody can tell."""
    verdicts = AttributeVerdicts(0.1, (0.2, 0.2, 0.2, 0.2, 0.2), (0.7,) * 5, (50,) * 5, (50,) * 5)
    assert verdicts.verdicts([0.19, 0.2, 0.7, 0.71, NAN]) == (
        Verdict.ABSENT,
        Verdict.UNSURE,
        Verdict.UNSURE,
        Verdict.PRESENT,
        Verdict.UNSURE,
    )


def test_a_sure_model_is_never_unsure() -> None:
    """Where right and wrong lie far apart, a half divides them, and a half itself is present."""
    probabilities = np.repeat([[0.1], [0.9]], 100, axis=0)
    labels = (probabilities > 0.5).astype(np.int64)
    verdicts = fit_attribute_verdicts(probabilities, labels)
    assert [verdicts.verdicts([each])[0] for each in (0.49, 0.5)] == [Verdict.ABSENT, Verdict.PRESENT]


def test_a_rare_attribute_is_never_called_absent() -> None:
    """Ten items that have it cannot vouch for an error rate of 5 %; many without it can."""
    probabilities = np.full((500, 1), 0.3)
    labels = (np.arange(500) < 10).astype(np.int64)[:, None]
    verdicts = fit_attribute_verdicts(probabilities, labels)
    assert (verdicts.absent_below, verdicts.present_counts, verdicts.absent_counts) == ((0.0,), (10,), (490,))
    assert verdicts.verdicts([0.001]) == (Verdict.UNSURE,)


def test_unknown_labels_do_not_count() -> None:
    """An attribute that nobody looked at says nothing; one that nobody ever looked at is always unsure."""
    probabilities, labels = attributes(3, 400)
    labels[200:, 0] = -1
    labels[:, 1] = -1
    verdicts = fit_attribute_verdicts(probabilities, labels)
    alone = fit_attribute_verdicts(probabilities[:200, :1], labels[:200, :1])
    assert (verdicts.absent_below[0], verdicts.present_above[0]) == (alone.absent_below[0], alone.present_above[0])
    assert verdicts.verdicts([0.5, 0.999])[1] is Verdict.UNSURE


def test_copies_of_a_specimen_say_nothing_new_of_attributes() -> None:
    """Five photos of each specimen give the verdicts of one."""
    probabilities, labels = attributes(4, 200)
    copied = fit_attribute_verdicts(
        np.repeat(probabilities, 5, axis=0), np.repeat(labels, 5, axis=0), groups=np.repeat(np.arange(200), 5)
    )
    assert copied == fit_attribute_verdicts(probabilities, labels)


@pytest.mark.parametrize("labels", [np.array([[2]]), np.array([1]), np.zeros((0, 1), dtype=np.int64)])
def test_malformed_attribute_labels_are_refused(labels: np.ndarray) -> None:
    """A label above 1, or shapes that do not match."""
    with pytest.raises(CalibrationDataError):
        fit_attribute_verdicts(np.full((len(labels), 1), 0.5), labels)


@pytest.mark.parametrize(
    "fields",
    [
        (0.0, (0.1,), (0.9,), (9,), (9,)),
        (0.1, (), (), (), ()),
        (0.1, (0.6,), (0.9,), (9,), (9,)),
        (0.1, (0.1,), (0.4,), (9,), (9,)),
        (0.1, (0.1,), (math.inf,), (9,), (9,)),
        (0.1, (0.1,), (0.9,), (9,), (-9,)),
        (0.1, (0.1,), (0.9,), (9, 9), (9,)),
    ],
)
def test_verdicts_check_their_numbers(fields: tuple) -> None:
    """What a file says is refused if it cannot be."""
    with pytest.raises(ValueError, match=r"must lie|thresholds|item count"):
        AttributeVerdicts(*fields)
